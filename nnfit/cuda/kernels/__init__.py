"""Kernels for CUDA, in the order in which a batch goes through them.

    pointers       the device's memory
    threads        blocks, barriers, sums
    products       tiled matrix products with epilogues
    functions      activations, losses, links and optimizers of the registries
    batches        which rows, and what is done to them at random
    outputs        activation and dropout of a unit, and where its gradient goes
    losses         of the rows, and the gradient by the raw predictions
    choice         one of several functions, by its number
    building       all that functions of layers are made of
    columns        sums over the rows of a batch
    updates        gradients, penalties and the optimizer
    whole_update   steps that need the whole gradient first
    muon           whole matrices
    progress       losses, epochs, stopping, schedules
    training       all of it in one kernel, and one phase in one kernel
    prediction     rows through a network that is not trained

The functions of layers are in `nnfit.cuda.kinds`. A kernel is compiled for one `Kind`
and has no code that its training does not need.
"""

import ast
from typing import Any, NamedTuple

from nnfit.cuda.kernels.products import Tile


class Kind(NamedTuple):
    """What a kernel is compiled for.

    Attributes
    ----------
    dtype : {"float32", "float64"}
    tile : Tile
        Of all products; it decides on the number of threads.
    activations : tuple of str or callable
        Names of activations, or functions of the user.
    layers : tuple
        Kinds of layers, see `nnfit.cuda.operations.kinds_of`.
    adds : bool
        Whether gradients are added up or passed on: layers are no chain.
    drops_apart : bool
        Whether units of layers may be dropped that do not drop them themselves.
    is_sparse : bool
        Whether X is a CSR matrix.
    drops, mixes, cuts, swaps, marks_swaps, adds_noise, drops_inputs : bool
        See `nnfit.engine_settings.Features`, as the next three.
    penalises, updates_whole, averages : bool
        See `nnfit.engine_settings.Features`.
    loss : str or callable or None
    solver : str or None
        None for gradients only.
    link : str or None
        Of predictions.
    trains : bool
        Whether slopes are kept and statistics those of a batch.
    gathers : bool
        Whether the rows are copied before the first layer reads them.
    has_lines : bool
        Whether values have several lines for each row.
    own_rows : bool
        Whether each line of the features is a row of the data of its own.
    pool : str or None
        Link of predictions that are means over the lines of a row.
    """

    dtype: str
    tile: Tile
    activations: tuple[Any, ...]
    layers: tuple
    adds: bool
    drops_apart: bool
    is_sparse: bool
    drops: bool = False
    mixes: bool = False
    cuts: bool = False
    swaps: bool = False
    marks_swaps: bool = False
    adds_noise: bool = False
    drops_inputs: bool = False
    penalises: bool = False
    updates_whole: bool = False
    averages: bool = False
    loss: Any = None
    solver: str | None = None
    link: str | None = None
    trains: bool = True
    gathers: bool = True
    has_lines: bool = False
    own_rows: bool = False
    pool: str | None = None

    def encoded(self):
        """What a builder takes: a text, and the functions of the user.

        Returns
        -------
        text : str
        functions : list of callable
        """
        functions = [f for f in (*self.activations, self.loss) if callable(f)]
        places = {function: i for i, function in enumerate(functions)}
        fields = self._replace(
            tile=tuple(self.tile),
            activations=tuple(places.get(f, f) for f in self.activations),
            loss=places.get(self.loss, self.loss),
        )
        return repr(tuple(fields)), functions

    @classmethod
    def decode(cls, text, functions):
        """The inverse of `encoded`."""

        def entry(value):
            return functions[value] if isinstance(value, int) else value

        kind = cls(*ast.literal_eval(text))
        return kind._replace(
            tile=Tile(*kind.tile),
            activations=tuple(map(entry, kind.activations)),
            loss=entry(kind.loss),
        )
