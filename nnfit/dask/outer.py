"""The outer step: from the weights of the shards to those that all go on from.

Douillard et al. (2023), "DiLoCo: distributed low-communication training of language
models", arXiv:2311.08105: what the shards have changed, on average, is the gradient of
a step with Nesterov's momentum. Sums are taken in the order of the shards, in float64,
so that they do not depend on which worker is faster.
"""

import numpy as np

from nnfit.network import Weights


class OuterStep:
    """Nesterov's momentum over rounds.

    Parameters
    ----------
    tensors : sequence of nnfit.network.kinds.Tensor
        Of the network. Statistics, which are not trained, are averaged.
    learning_rate, momentum : float
    """

    def __init__(self, tensors, learning_rate, momentum):
        self.learning_rate, self.momentum = learning_rate, momentum
        self._trained = {place: [] for place in Weights._fields}
        for tensor in tensors:
            self._trained[tensor.place].append(tensor.n_trained)
        self._velocity = {}

    def __call__(self, before, after, shares):
        """Weights after a round.

        Parameters
        ----------
        before : Weights
            That the shards began with.
        after : list of Weights
            That they ended with.
        shares : list of float
            What each counts; they sum to one.

        Returns
        -------
        Weights
        """
        if len(after) == 1:  # there is nothing to average
            return after[0]
        return Weights(
            *(
                [
                    self._joined(
                        (place, number),
                        array,
                        [getattr(each, place)[number] for each in after],
                        shares,
                    )
                    for number, array in enumerate(getattr(before, place))
                ]
                for place in Weights._fields
            )
        )

    def _joined(self, key, before, after, shares):
        """An array after the step: the mean change is the negative of a gradient."""
        mean = np.zeros(before.shape)
        for share, array in zip(shares, after, strict=True):
            mean += share * (array.astype(np.float64) - before)
        velocity = self._velocity.get(key, 0.0) * self.momentum + mean
        self._velocity[key] = velocity
        step = self.learning_rate * (mean + self.momentum * velocity)
        place, number = key
        trained = slice(self._trained[place][number])  # rows; a vector is one
        np.atleast_2d(mean)[trained] = np.atleast_2d(step)[trained]
        return (before + mean).astype(before.dtype)
