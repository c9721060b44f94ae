"""What the annotations of the public interface name.

Options whose names a registry holds are ``str``: the registry says which there are, and
`fit` checks them. Everything here can be looked up when the program runs, as
`typing.get_type_hints` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
Dtype: TypeAlias = Literal["float32", "float64"]

#: One number, or several.
Sizes: TypeAlias = int | Sequence[int] | npt.NDArray[np.integer[Any]]
Numbers: TypeAlias = float | Sequence[float] | FloatArray

#: Names of registries, or the user's own functions of floats.
Activation: TypeAlias = str | Callable[[float], tuple[float, float]]
Loss: TypeAlias = str | Callable[[float, float], tuple[float, float]]
Schedule: TypeAlias = str | Callable[[float], float]
#: Takes the estimator, X and y.
Scoring: TypeAlias = str | Callable[[Any, Any, Any], float]

#: Of labels a dict each.
ClassWeight: TypeAlias = (
    Literal["balanced"] | Mapping[Any, float] | Sequence[Mapping[int, float]]
)

RandomState: TypeAlias = int | np.random.RandomState


class SparseMatrix(Protocol):
    """SciPy's sparse matrices and arrays, which have no annotations of their own."""

    def tocsr(self, copy: bool = ...) -> Any:
        """The same in compressed rows."""


#: Rows of features: arrays, nested lists and tables, or a sparse matrix.
Rows: TypeAlias = npt.ArrayLike | SparseMatrix


def typed(decorator: Any) -> Callable[[F], F]:
    """A decorator of scikit-learn as one that keeps the signature it is given.

    Scikit-learn has no annotations, and what an unknown decorator returns is unknown.
    """
    return decorator
