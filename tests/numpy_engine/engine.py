"""Training in NumPy, a batch at a time."""

from types import SimpleNamespace

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from nnfit.network.description import check_state
from nnfit.network.kinds import kind_of
from nnfit.network.passes import in_order
from tests.numpy_engine import optimizers
from tests.numpy_engine.functions import link, pool, reported, row_losses
from tests.numpy_engine.network import (
    backward,
    drop_inputs,
    forward,
    hidden_dropout,
    size_of,
    split,
)
from tests.numpy_engine.randomness import Draws, shuffled

#: Batches of fewer rows have no variance: 1 - the sum of the squared shares.
ONE_ROW = 1e-7
#: Share of the way to the batch's statistics that the running ones go.
RUNNING = 0.1


class Engine:
    """Training of one network; see the interface in ``nnfit.cpu.engine``."""

    threads_used = 1

    def __init__(self, network, solver, *, n_threads=1, choice=None):
        self.network = network
        self.solver = solver
        self.flat = np.zeros(size_of(network), dtype=network.dtype)
        n_slots = 0 if solver is None else solver.slots
        self._slots = np.zeros((n_slots, len(self.flat)), dtype=network.dtype)
        self._averaged = self.flat.copy()
        self._sums = {}  # of rates, and steps missed, by what rates depend on
        self._memory = {}  # of new optimizers, for each array
        self.keep_batch_losses = False
        self.progress = SimpleNamespace(
            epoch=0,
            step=0,
            t=0,
            learning_rate=0.0,
            best_loss=np.inf,
            no_improvement=0,
            stopped=0,
        )

    def set_network(self, network):
        self.network = network

    def close(self):
        """This engine has no threads."""

    # weights

    def set_weights(self, weights):
        for mine, given in zip(split(self.network, self.flat), weights, strict=True):
            for array, value in zip(mine, given, strict=True):
                array[...] = value
        self._averaged = self.flat.copy()
        for k in range(len(self._slots)):
            if self.solver.start[k]:
                self._slots[k] = self.flat

    def set_evaluated(self, weights):
        for mine, given in zip(
            split(self.network, self._averaged), weights, strict=True
        ):
            for array, value in zip(mine, given, strict=True):
                array[...] = value

    def get_weights(self, flat=None):
        return split(self.network, (self.flat if flat is None else flat).copy())

    def get_state(self):
        # As schedule-free AdamW writes it: the last step's largest rate is to be added.
        rows = []
        for key in dict.fromkeys(map(self._rate_key, self.network.tensors)):
            sums = self._sums_of(key)
            step = self.progress.step - sums.missed
            squares = sums.squares - sums.largest**2
            rows.append([sums.largest, squares, sums.largest, step, sums.missed])
        return {"moments": self._slots.copy(), "memory": np.array([rows] * 2, float)}

    def set_state(self, state):
        check_state(state, self._slots.shape, (2, 1, 5))
        self._slots[...] = state["moments"]
        # The other rows may be those of the step that was to come next.
        number = state["memory"][:, :, 3:].sum(axis=(1, 2)).argmin()
        rows = state["memory"][number]
        keys = dict.fromkeys(map(self._rate_key, self.network.tensors))
        for place, key in enumerate(keys):
            row = rows[place if len(rows) == len(keys) else 0]
            _, squares, largest, _, missed = row
            sums = self._sums_of(key)
            sums.largest, sums.squares = largest, squares + largest**2
            sums.missed = int(missed)

    # data and settings

    def set_data(self, X, y, sample_weight=None, loss_weight=None, rows=None):
        self._X, self._y, self._weight = X, y, sample_weight
        self._loss_weight = sample_weight if loss_weight is None else loss_weight
        self._rows = np.arange(X.shape[0]) if rows is None else rows

    def configure(self, settings):
        self._settings = settings
        self._batches = 0  # since this call
        self.progress.learning_rate = settings.learning_rate_init

    # evaluation

    def evaluated(self):
        """The parameters that count: averaged ones where there are such."""
        solver = self.solver
        if self._settings.average:
            flat = self._averaged.copy()
        elif solver is not None and solver.average is not None:
            flat = self.flat.copy()
            flats = flat, self.flat, *self._slots
            parts = [trained(self.network, each) for each in flats]
            for x, w, *slots in zip(*parts, strict=True):
                x[...] = optimizers.average_of(solver, w, slots, self._hyper(1.0))
        else:
            return self.flat
        self._recompute_statistics(flat)
        return flat

    def _statistics(self, traces):
        """What a batch's statistics are, by the number of their tensor."""
        found, numbers = {}, iter(np.argsort(self.network.tensor_order))
        nodes = zip(self.network.nodes, self.network.tensors_of_nodes, strict=True)
        for (node, own), trace in zip(nodes, traces, strict=False):
            for tensor, number in zip(own, numbers, strict=False):
                if tensor.has_statistics:
                    found[number] = kind_of(node).statistics(trace.kept)
        return found

    def _recompute_statistics(self, flat):
        """Mean of the statistics of the training data's batches."""
        tensors, weights = self.network.tensors, split(self.network, flat)
        if not self.network.has_statistics:
            return
        sums, total = {}, 0
        rows = self._rows[: self._settings.rows_of_epoch(len(self._rows))]
        for batch in self._batches_of(rows):
            share = self._share(batch)
            if share is None or 1 - np.sum(share**2) <= ONE_ROW:
                continue
            traces = forward(self.network, weights, self._X[batch], share)
            for number, value in self._statistics(traces).items():
                sums[number] = sums.get(number, 0.0) + len(batch) * value
            total += len(batch)
        for number, value in sums.items():
            in_order(weights)[number][tensors[number].n_trained :] = value / total

    def watch(self, X, y, sample_weight=None, rows=None, score=None):
        if rows is not None:
            X, y = X[rows], y[rows]
            sample_weight = None if sample_weight is None else sample_weight[rows]
        self._watched = X, y, sample_weight, score

    def validate(self):
        X, y, sample_weight, score = self._watched
        weights = split(self.network, self.evaluated())
        with np.errstate(all="ignore"):
            raw = pool(self.network, forward(self.network, weights, X)[-1].output)
            values = row_losses(self.network, raw, y)[0]
            mean = np.average(values, weights=sample_weight)
        loss = float(mean) * reported(self.network)
        predicted = link(self.network, raw)
        if score is None or not np.isfinite(predicted).all():
            return loss, np.nan
        if score == "r2":
            with np.errstate(all="ignore"):
                return loss, r2_score(y, predicted, sample_weight=sample_weight)
        if score == "accuracy":
            predicted = raw.argmax(axis=1)
            y = y[:, 0] if y.shape[1] == 1 else y.argmax(axis=1)
        else:
            predicted, y = raw > 0, y > 0.5
        return loss, accuracy_score(y, predicted, sample_weight=sample_weight)

    # the loss of a batch and its gradient

    def _batches_of(self, rows):
        size = self._settings.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _rows_of_lines(self, rows):
        """For each row of an epoch's batches the row of each of its lines, (n, k)."""
        n_lines = self._settings.trained(self.network).lines[0]
        begins = [len(rows) * member // n_lines for member in range(n_lines)]
        return np.stack([np.roll(rows, -begin) for begin in begins], axis=1)

    def _share(self, rows):
        """Weights of some rows, divided by their sum; None if that is 0."""
        weight = weights_of(self._weight, rows)
        return weight / weight.sum() if weight.any() else None

    def batch(self, flat, rows, draws=None, dropout=1.0, scale=1.0):
        """Loss of a batch, its gradient, and what the forward pass left.

        Parameters
        ----------
        flat : ndarray
            The parameters.
        rows : ndarray of int64
            Of shape (n, n_lines): those of each line. Not all of weight 0.
        draws : Draws, default=None
            None to leave out mixup, noise and dropout.
        dropout : float, default=1.0
            Factor of the rates of dropout.
        scale : float, default=1.0
            Factor of the loss without penalties, in the value alone.
        """
        network, dtype = self._settings.trained(self.network), self.network.dtype
        n_own, rows = network.lines[0], rows.ravel()
        weights, share = split(network, flat), self._share(rows)
        X, y, weight = self._X[rows], self._y[rows], weights_of(self._loss_weight, rows)
        targets, factors = [(y, weight)], None
        if draws is not None:
            X, targets = self._augment(X, y, weight, draws, dropout, n_own)
            rates = [rate * dropout for rate in self._settings.dropout]
            factors = hidden_dropout(draws, rates, dtype) if any(rates) else None
        traces = forward(network, weights, X, share, factors, draws)
        loss, of_raw = 0.0, 0.0
        lines = network.lines[-1]
        for target, of_rows in targets:
            copies = lines // n_own
            target, of_rows = np.repeat(target, copies, 0), np.repeat(of_rows, copies)
            of_rows = of_rows / lines
            losses, slope = row_losses(network, traces[-1].output, target)
            loss += losses @ of_rows
            of_raw = of_raw + slope * of_rows[:, None].astype(dtype)
        gradients = backward(network, weights, traces, of_raw, share)
        penalty = self._add_penalty(weights, gradients)
        gradient = np.concatenate([a.ravel() for a in in_order(gradients)])
        total = weights_of(self._weight, rows).sum() / n_own
        return (
            float(scale * loss + penalty) / total,
            (gradient / total).astype(dtype),
            traces,
        )

    def _augment(self, X, y, weight, draws, dropout, lines):
        """Mixup or cutmix, then swaps, noise and dropout of the features.

        Returns
        -------
        X : ndarray
        targets : list of (ndarray of shape (n, n_targets), ndarray of shape (n,))
            The loss of a row is the weighted sum of that of its own target and of its
            partner's.
        """
        settings, dtype = self._settings, self.network.dtype
        targets = [(y, weight)]
        if settings.features(None).augments:
            X = X if isinstance(X, np.ndarray) else X.toarray()
        n_rows, original = X.shape[0] // lines, X
        if settings.features(None).mixes and n_rows > 1:
            a = settings.cutmix or settings.mixup
            own, partner = draws.mixup(a, n_rows, lines)
            if settings.cutmix:
                kept = draws.kept(own, X.shape, lines)
                X, own = np.where(kept, X, X[partner]), kept.mean(axis=1)
            else:
                X = (own * X + (1 - own) * X[partner]).astype(dtype)
            targets = [
                (y, own * weight),
                (y[partner], (1 - own) * weight[partner]),
            ]
        if settings.feature_swap:
            X, targets = self._swap(X, original, targets, draws, lines)
        if settings.input_noise:
            scales = np.array(settings.noise_scales or 1.0)
            noise = scales * draws.noise(settings.input_noise, X.shape, lines)
            X = X + noise.astype(dtype)
        X = drop_inputs(draws, settings.input_dropout * dropout, X, lines)
        return X, targets

    def _swap(self, X, original, targets, draws, lines):
        """Entries of other rows in place of some, and targets that say of which."""
        settings = self._settings
        swapped = draws.swapped(settings.feature_swap, X.shape, lines)
        if settings.swap_values:
            others = np.array(settings.swap_values, X.dtype)
        elif len(X) > lines:
            others = np.take_along_axis(original, draws.donors(X.shape, lines), axis=0)
        else:
            others, swapped = X, np.zeros_like(swapped)
        if settings.swap_mask >= 0:
            [(y, weight)] = targets
            marked = slice(settings.swap_mask, settings.swap_mask + X.shape[1])
            y = y.copy()
            y[:, marked] = swapped
            targets = [(y, weight)]
        return np.where(swapped, others, X), targets

    def _add_penalty(self, weights, gradients):
        """Penalty of the weights; its gradient is added to `gradients`."""
        settings, total = self._settings, 0.0
        arrays = in_order(weights), in_order(gradients)
        for tensor, w, gradient in zip(self.network.tensors, *arrays, strict=True):
            if tensor.is_penalised:
                alpha, l1 = (tensor.penalty * x for x in (settings.alpha, settings.l1))
                gradient += alpha * w + l1 * np.sign(w)
                exact = w.astype(np.float64)
                total += 0.5 * alpha * np.sum(exact**2) + l1 * np.sum(np.abs(exact))
        return total

    def loss_and_gradient(self, flat):
        flat = np.asarray(flat, dtype=self.network.dtype)
        with np.errstate(all="ignore"):
            return self.batch(flat, self._rows_of_lines(self._rows))[:2]

    # a step of the optimizer

    def _hyper(self, momentum):
        """The optimizer's parameters by name."""
        hyper = dict(zip(self.solver.parameters, self._settings.hyper, strict=True))
        name = optimizers.momentum_of(self.solver)
        if name is not None:
            hyper[name] *= momentum
        return hyper

    def _sums_of(self, key):
        """What is carried from step to step for the tensors with a rate key."""
        return self._sums.setdefault(
            key, SimpleNamespace(largest=0.0, squares=0.0, missed=0, share=0.0)
        )

    def _count_step(self, rate):
        """Shares of this step in schedule-free AdamW's averages, and who misses it."""
        trained_ones = [each for each in self.network.tensors if not each.is_frozen]
        tensors = {self._rate_key(tensor): tensor for tensor in trained_ones}
        for key in {self._rate_key(tensor) for tensor in self.network.tensors}:
            sums = self._sums_of(key)
            if key not in tensors:
                sums.missed += 1
                continue
            tensor = tensors[key]
            sums.largest = max(rate * self._factor_of(tensor), sums.largest)
            sums.squares += sums.largest**2
            sums.share = sums.largest**2 / sums.squares if sums.squares else 0.0

    def _clip(self, gradient):
        settings = self._settings
        norm = np.linalg.norm(gradient.astype(np.float64))
        if norm > settings.clip_norm:
            gradient = (gradient * (settings.clip_norm / norm)).astype(gradient.dtype)
        return np.clip(gradient, -settings.clip_value, settings.clip_value)

    def _touched(self, traces):
        """Lines that a batch has of tensors by lines, by the number of the tensor."""
        found, numbers = {}, iter(np.argsort(self.network.tensor_order))
        nodes = zip(self.network.nodes, self.network.tensors_of_nodes, strict=True)
        for (node, own), trace in zip(nodes, traces, strict=True):
            for tensor, number in zip(own, numbers, strict=False):
                if tensor.by_lines:
                    found[number] = kind_of(node).touched(trace.kept)
        return found

    def _update(self, gradient, rate, decay, momentum, traces):
        """Move all trained parameters, and shorten long columns."""
        settings, progress, solver = self._settings, self.progress, self.solver
        progress.step += 1
        hyper = self._hyper(momentum)
        decay = settings.weight_decay * decay
        self._count_step(rate)
        flats = self.flat, self._clip(gradient), *self._slots
        parts = [trained(self.network, flat) for flat in flats]
        tensors, touched = enumerate(self.network.tensors), self._touched(traces)
        for (number, tensor), w, g, *slots in zip(tensors, *parts, strict=True):
            if tensor.is_frozen:
                continue
            own = rate * self._factor_of(tensor)
            hyper["shrink"] = own * decay * tensor.decay * tensor.is_penalised
            hyper["memory"] = self._memory.setdefault(number, [0.0] * 4)
            sums = self._sums_of(self._rate_key(tensor))
            hyper["share"], step = sums.share, progress.step - sums.missed
            update = optimizers.update_of(solver)
            if solver.matrices and tensor.is_matrix:
                update = optimizers.muon
            lines = touched.get(number, ...)
            old = [slot[lines] for slot in slots]
            w[lines], new_slots = update(w[lines], g[lines], old, step, own, hyper)
            for slot, value in zip(slots, new_slots, strict=True):
                slot[lines] = value
            if tensor.in_panels and np.isfinite(settings.max_norm):
                norm = np.linalg.norm(w.astype(np.float64), axis=0)
                w *= settings.max_norm / np.maximum(norm, settings.max_norm)

    def _factor_of(self, tensor):
        """Factor of a tensor's learning rate."""
        of_layers = self._settings.learning_rate_factors
        is_own = of_layers and tensor.layer is not None
        return tensor.learning_rate * (of_layers[tensor.layer] if is_own else 1.0)

    def _rate_key(self, tensor):
        """What says which of the engines' rows of rates is a tensor's."""
        has_rates = len(self._settings.learning_rate_factors) > 0
        return tensor.layer if has_rates else 0, tensor.learning_rate, tensor.decay

    def _move_statistics(self, traces, n_rows):
        """Running statistics go towards those of a batch."""
        share = RUNNING * n_rows / min(self._settings.batch_size, len(self._rows))
        tensors, arrays = self.network.tensors, in_order(split(self.network, self.flat))
        for number, value in self._statistics(traces).items():
            if value is not None:
                running = arrays[number][tensors[number].n_trained :]
                running += share * (value - running)

    def _learn(self, rows, position):
        """A training step with some rows; returns their loss."""
        settings = self._settings
        factors = np.ones(5)
        if settings.batch_factors is not None:
            factors = settings.batch_factors(self._batches, 1)[0]
        rate, decay, momentum, dropout, average = factors
        self._batches += 1
        self._rate = self.progress.learning_rate * rate
        if self._share(rows) is None:
            return np.nan
        draws = Draws(settings.seed, self.progress.step, position)
        loss, gradient, traces = self.batch(
            self.flat, rows, draws, dropout, reported(self.network)
        )
        self._update(gradient, self._rate, decay, momentum, traces)
        self._move_statistics(traces, len(rows))
        if settings.average:
            self._averaged += average * (self.flat - self._averaged)
        return loss

    # epochs

    def _epoch(self):
        """Losses of the batches of an epoch, NaN where nothing had weight; the mean."""
        settings, rows = self._settings, self._rows
        if settings.shuffle:
            rows = rows[shuffled(len(rows), settings.seed, self.progress.epoch)]
        rows = rows[: settings.rows_of_epoch(len(rows))]
        rows = self._rows_of_lines(rows)
        losses, position = [], 0
        with np.errstate(all="ignore"):
            for batch in self._batches_of(rows):
                losses.append(self._learn(batch, position))
                position += len(batch)
        sizes = [len(batch) for batch in self._batches_of(rows)]
        seen = [self._share(batch) is not None for batch in self._batches_of(rows)]
        return losses, np.dot(np.where(seen, losses, 0.0), sizes) / len(rows)

    def _monitor(self, loss):
        """scikit-learn's rule: stop, or go on with a fifth of the learning rate.

        "plateau" lowers it each time half of the epochs before the stop have passed.
        """
        settings, progress = self._settings, self.progress
        better = loss <= progress.best_loss - settings.tol
        progress.no_improvement = 0 if better else progress.no_improvement + 1
        progress.best_loss = min(progress.best_loss, loss)
        if (
            settings.schedule == "plateau"
            and 0 < progress.no_improvement <= settings.n_iter_no_change
            and progress.no_improvement % max(1, settings.n_iter_no_change // 2) == 0
        ):
            progress.learning_rate *= settings.learning_rate_decay
        if progress.no_improvement > settings.n_iter_no_change:
            if settings.schedule == "adaptive" and progress.learning_rate > 1e-6:
                progress.learning_rate /= 5.0
                progress.no_improvement = 0
            else:
                progress.stopped = 1

    def train(self, max_epochs, seconds=np.inf):
        progress = self.progress
        curves = {"loss": [], "learning_rate": []}
        if progress.epoch < max_epochs and not progress.stopped:
            batch_losses, loss = self._epoch()
            if self.keep_batch_losses:
                curves["batch_loss"] = batch_losses
            if np.isfinite(loss) and np.isfinite(self.flat).all():
                curves["loss"].append(loss)
                curves["learning_rate"].append(self._rate)  # of the last batch
                self._end_epoch(loss)
            else:
                progress.stopped = 2
        return {name: np.array(values) for name, values in curves.items()}

    def _end_epoch(self, loss):
        settings, progress = self._settings, self.progress
        progress.epoch += 1
        progress.t += settings.rows_of_epoch(len(self._rows))
        if settings.schedule == "invscaling":
            scale = (progress.t + 1) ** settings.power_t
            progress.learning_rate = settings.learning_rate_init / scale
        if settings.monitor_loss:
            self._monitor(loss)


def weights_of(weights, rows):
    """Of some rows; None stands for equal ones."""
    return np.ones(len(rows)) if weights is None else weights[rows]


def trained(network, flat):
    """Of each tensor the rows that training changes, as views of parameters."""
    arrays = zip(network.tensors, in_order(split(network, flat)), strict=True)
    return [
        array if tensor.n_trained is None else array[: tensor.n_trained]
        for tensor, array in arrays
    ]
