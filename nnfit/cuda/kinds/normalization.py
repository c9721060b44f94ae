"""What lies between a product and its activation, on a GPU.

``u = scale * normed + intercept``, where ``normed = (z - mean) / sqrt(variance +
epsilon)``, or ``u = z + intercept`` without normalisation. For a sum over the units a
group of threads takes a row; for one over the batch a lane takes a column
(`nnfit.cuda.kernels.normalization` has the functions).

    option   phases forward             phases back
    None     forward                    backward
    layer    forward                    backward
    batch    find_statistics, forward   find_sums, backward
"""

from nnfit.cuda import fields as at
from nnfit.cuda.kernels import normalization as functions
from nnfit.cuda.kernels.normalization import (
    END,
    IS_FROZEN,
    N_STATISTICS,
    NORMED,
    SLOPES,
    SPREAD,
)

OPERATIONS = (
    "find_statistics", "find_sums", "forward", "backward", "forward_layer",
    "backward_layer", "forward_batch", "backward_batch",
)  # fmt: skip
GRADIENTS = ("vectors",)
#: Units are dropped where their outputs are finished.
DROPS = True


def traits(node):
    """Over what mean and variance are taken."""
    return (node.options[0] or "none",)


def _name(node, name):
    return name if node.options[0] is None else f"{name}_{node.options[0]}"


def lay_out(graph, number, node):
    """The layer's row and its way forward."""
    plan, kind = graph.plan, node.options[0]
    row = graph.new_row(number, END)
    n_out, stride = plan.words[row + at.N_OUT], plan.words[row + at.STRIDE]
    graph.output(number)
    graph.gradient(number)
    if plan.trains:
        plan.buffer(row + SLOPES, plan.n_rows * stride)
    if kind is not None:
        plan.buffer(row + NORMED, plan.n_rows * stride)
        size = plan.n_rows if kind == "layer" else N_STATISTICS * n_out
        plan.buffer(row + SPREAD, size)
    plan.words[row + IS_FROZEN] = node.is_frozen
    if kind == "batch" and plan.trains:
        graph.phase(node, "find_statistics", row, graph.of_columns(row))
    graph.phase(node, _name(node, "forward"), row)


def way_back(graph, number, node):
    """Gradient by u, then by z."""
    plan, row = graph.plan, graph.row_of(number)
    edge = row + at.EDGES
    if not graph.deliver(number, 0):  # nobody reads it
        stride = plan.words[edge + at.GOAL_STRIDE] = plan.words[row + at.STRIDE]
        plan.buffer(edge + at.GOAL, plan.n_rows * stride)
    if node.options[0] == "batch":
        graph.phase(node, "find_sums", row, graph.of_columns(row))
    graph.phase(node, _name(node, "backward"), row)


def add_units(graph, number, node):
    """The intercepts, and the scale."""
    graph.add_columns(number, 0, "vectors")
    if node.options[0] is not None:
        graph.add_columns(number, 1, "vectors")


def make(build, traits):
    """Device functions of the normalisations that there are."""
    makers = {
        "none": functions.make_none,
        "layer": functions.make_layer,
        "batch": functions.make_batch,
    }
    found = {}
    for name in traits:
        ending = "" if name == "none" else f"_{name}"
        normalise_row, back_row = makers[name](build)
        found[f"forward{ending}"] = functions.make_forward(build, normalise_row)
        if build.kind.trains:
            found[f"backward{ending}"] = functions.make_backward(build, back_row)
    if "batch" in traits and build.kind.trains:
        found["find_statistics"] = functions.make_find_statistics(build)
        found["find_sums"] = functions.make_find_sums(build)
    return found


def make_gradients(build, traits, store):
    """Device function `vectors`: gradients of the intercepts, and of the scale."""
    return {"vectors": functions.make_vectors_gradient(build, store)}


def make_sizes(build, traits, size):
    """None: nothing of it is penalised."""
    return {}
