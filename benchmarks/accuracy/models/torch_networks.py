"""RealMLP of pytabkit and TabM's package, both in PyTorch."""

import math

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

#: Of TabM, as its authors and TabArena have them.
RATE, DECAY, CLIP, BATCH, PATIENCE, MOST_EPOCHS = 2e-3, 3e-4, 1.0, 256, 16, 200
N_BINS, WIDTH, VALIDATION = 48, 16, 0.2


def realmlp(task, n_threads, seed):
    """RealMLP-TD, whose numbers must not be missing: means, and indicators."""
    import pytabkit

    ending = "Regressor" if task == "regression" else "Classifier"
    cls = getattr(pytabkit, f"RealMLP_TD_{ending}")
    return Imputed(cls(device="cpu", n_threads=n_threads, random_state=seed))


class Imputed:
    """A model that gets numbers without missing ones, and categories as they are."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        self.numbers = list(X.select_dtypes("number"))
        self.imputer = SimpleImputer(add_indicator=True, keep_empty_features=True)
        self.imputer.set_output(transform="pandas")
        if self.numbers:
            self.imputer.fit(X[self.numbers])
        self.model.fit(self._filled(X), y)
        return self

    def _filled(self, X):
        if not self.numbers:
            return X
        numbers = self.imputer.transform(X[self.numbers]).astype("float32")
        return numbers.join(X.drop(columns=self.numbers))

    def predict(self, X):
        return self.model.predict(self._filled(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self._filled(X))

    @property
    def classes_(self):
        return self.model.classes_


def tabm(task, n_threads, seed):
    """TabM with piecewise linear embeddings and its package's sizes."""
    return TabM(task, n_threads, seed)


class TabM:
    """The package has modules only: this is its example's training.

    Numbers through quantiles to a normal distribution, categories as codes; AdamW with
    clipped gradients, until the loss on a fifth of the rows has not fallen for some
    epochs; the best epoch's weights.
    """

    def __init__(self, task, n_threads, seed):
        self.task, self.n_threads, self.seed = task, n_threads, seed

    def fit(self, X, y):
        import torch

        torch.set_num_threads(self.n_threads)
        torch.manual_seed(self.seed)
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(y))
        n_held = math.ceil(VALIDATION * len(y))
        held, rows = order[:n_held], order[n_held:]
        self.classes_ = None if self.task == "regression" else np.unique(y)
        if self.classes_ is None:
            self.centre, self.width = y[rows].mean(), y[rows].std() or 1.0
            targets = ((y - self.centre) / self.width).astype(np.float32)
        else:
            targets = np.searchsorted(self.classes_, y)
        targets = torch.as_tensor(targets)
        self._prepare(X.iloc[rows], rng)
        numbers, codes = self._tensors(X)
        self._build(numbers[rows])
        optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=RATE, weight_decay=DECAY
        )
        best, best_epoch, kept = math.inf, 0, None
        for epoch in range(MOST_EPOCHS):
            self.module.train()
            shuffled = rng.permutation(rows)
            for start in range(0, len(rows), BATCH):
                batch = shuffled[start : start + BATCH]
                optimizer.zero_grad()
                outputs = self._call(numbers[batch], codes[batch])
                self._loss(outputs, targets[batch]).backward()
                torch.nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
                optimizer.step()
            loss = float(
                self._loss(self._outputs(numbers[held], codes[held]), targets[held])
            )
            if loss < best:
                best, best_epoch = loss, epoch
                kept = {k: v.clone() for k, v in self.module.state_dict().items()}
            elif epoch - best_epoch > PATIENCE:
                break
        if kept is not None:
            self.module.load_state_dict(kept)
        return self

    def _prepare(self, X, rng):
        self.numbers = [
            name for name in X.select_dtypes("number") if X[name].nunique() > 1
        ]
        self.categories = list(X.select_dtypes("category"))
        self.levels = [X[name].cat.categories for name in self.categories]
        self.scaler = make_pipeline(
            SimpleImputer(),
            QuantileTransformer(
                n_quantiles=max(min(len(X) // 30, 1000), 10),
                output_distribution="normal",
                random_state=self.seed,
            ),
        )
        if self.numbers:
            self.scaler.fit(X[self.numbers] + 1e-5 * rng.normal(size=(len(X), 1)))

    def _tensors(self, X):
        import torch

        numbers = np.zeros((len(X), 0))
        if self.numbers:
            numbers = self.scaler.transform(X[self.numbers])
        codes = [
            levels.get_indexer(X[name]) + 1
            for name, levels in zip(self.categories, self.levels, strict=True)
        ]
        codes = np.stack(codes, axis=1) if codes else np.zeros((len(X), 0))
        return (
            torch.as_tensor(numbers, dtype=torch.float32),
            torch.as_tensor(codes, dtype=torch.int64),
        )

    def _build(self, numbers):
        import rtdl_num_embeddings as embeddings
        from tabm import TabM as Module

        embedding = None
        if self.numbers:
            n_bins = min(N_BINS, len(numbers) - 1)
            embedding = embeddings.PiecewiseLinearEmbeddings(
                embeddings.compute_bins(numbers, n_bins=n_bins),
                WIDTH,
                activation=False,
                version="B",
            )
        self.module = Module.make(
            n_num_features=len(self.numbers),
            cat_cardinalities=[len(levels) + 1 for levels in self.levels],
            d_out=1 if self.classes_ is None else len(self.classes_),
            num_embeddings=embedding,
        )

    def _loss(self, outputs, targets):
        """Mean of the members' losses."""
        from torch.nn import functional

        targets = targets[:, None].expand(outputs.shape[:2]).flatten()
        if self.classes_ is None:
            return functional.mse_loss(outputs.flatten(), targets)
        return functional.cross_entropy(outputs.flatten(0, 1), targets)

    def _call(self, numbers, codes):
        """The module refuses what has no columns."""
        return self.module(
            *(part if part.shape[1] else None for part in (numbers, codes))
        )

    def _outputs(self, numbers, codes):
        import torch

        self.module.eval()
        with torch.inference_mode():
            parts = zip(numbers.split(1024), codes.split(1024), strict=True)
            return torch.cat([self._call(*part) for part in parts])

    def predict(self, X):
        outputs = self._outputs(*self._tensors(X))[..., 0].mean(dim=1)
        return outputs.numpy() * self.width + self.centre

    def predict_proba(self, X):
        outputs = self._outputs(*self._tensors(X))
        return outputs.softmax(dim=-1).mean(dim=1).numpy()
