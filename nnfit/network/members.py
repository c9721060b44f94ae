"""Members that share weights: a chain of dense layers as BatchEnsemble, full or mini.

Every member is the chain with the same matrices W and little of its own (Gorishniy et
al. 2025, arXiv:2410.24210): in the full form factors r before each product, factors s
and intercepts b after it, ``f((r * x) W * s + b)``; in the mini form the first r alone.
The last layer is each member's own in both.
"""

from dataclasses import replace
from typing import NamedTuple

from nnfit.network.chain import nodes_of
from nnfit.network.kinds import Node

#: Which products have adapters, by name of the form.
ADAPTERS = ("all", "first")
#: Kinds whose arrays members have of their own: those of a member, then the next one's.
KINDS = ("members", "member_adapter", "member_head")
#: Which rows members see in a step of the training: the same, or each others.
ROWS = ("shared", "own")


class Members(NamedTuple):
    """Networks that share the weights of a chain.

    Attributes
    ----------
    n_members : int
    adapters : {"all", "first"}
        Which layers have factors of each member's own: all of them, besides factors and
        intercepts behind their products, or the first.
    blocks : tuple of int or None
        Widths of the features' blocks in what the chain reads: the first factors are
        normal numbers, one for each member and block. None for random signs, one for
        each member and column.
    """

    n_members: int
    adapters: str = "all"
    blocks: tuple[int, ...] | None = None


def member_nodes(layers, before, members):
    """Nodes of members that share the weights of a chain.

    Parameters
    ----------
    layers : sequence of nnfit.network.chain.Layer
        Of the chain; the last has no activation.
    before : tuple of nnfit.network.kinds.Node
        Nodes before it.
    members : Members

    Returns
    -------
    nodes : tuple of nnfit.network.kinds.Node
        Those before it, too. The last one's value has a line for each member.

    Raises
    ------
    ValueError
        If there are no such members.
    """
    n_members, adapters, blocks = members
    _check(layers, n_members, adapters)
    options = (n_members, "signs" if blocks is None else "normal", blocks)
    begin = Node("members", (len(before),), options=options)
    chain = nodes_of(layers) if adapters == "first" else _adapted(layers, n_members)
    *hidden, last = (_moved(node, len(before) + 1) for node in chain)
    head = replace(last, kind="member_head", options=(n_members,))
    return (*before, begin, *hidden, head)


def chosen(network, weights, members):
    """Weights of the network of some members of another.

    Parameters
    ----------
    network : nnfit.network.Network
        Whose value has a line for each member.
    weights : nnfit.network.Weights
    members : list of int

    Returns
    -------
    nnfit.network.Weights
    """
    kinds = [
        node.kind
        for node, own in zip(network.nodes, network.tensors_of_nodes, strict=True)
        for _ in own
    ]
    arrays = [array for arrays in weights for array in arrays]
    for place, number in enumerate(network.tensor_order):
        if kinds[number] in KINDS:
            array = arrays[place]
            lines = array.reshape(network.lines[-1], -1)[members]
            arrays[place] = lines.reshape(-1, *array.shape[1:])
    return network.weights_of(arrays)


def _check(layers, n_members, adapters):
    if adapters not in ADAPTERS:
        raise ValueError(f"adapters must be one of {ADAPTERS}, got {adapters!r}.")
    if n_members < 1:
        raise ValueError(f"n_members must be at least 1, got {n_members}.")
    if any(layer.normalization == "batch" for layer in layers):
        raise ValueError(
            "Members that share weights need normalization=None or 'layer', got "
            "'batch': the rows of a batch would be normalised together with other "
            "members' rows."
        )
    if adapters == "all" and any(layer.is_staged for layer in layers):
        raise ValueError(
            "Members with adapters='all' need hidden layers without normalization and "
            "residual connections, got such. Use adapters='first'."
        )


def _moved(node, n_before):
    """A node of a chain as it stands behind so many others."""
    return replace(node, inputs=tuple(value + n_before for value in node.inputs))


def _adapted(layers, n_members):
    """Nodes of a chain with factors and intercepts around its products."""
    nodes, value = [], 0
    *hidden, last = nodes_of(layers)
    for layer, node in zip(layers, hidden, strict=False):
        if value > 0:
            options = (n_members, None, None)
            nodes.append(Node("members", (value,), options=options, layer=node.layer))
            value += 1
        product = replace(
            node, inputs=(value,), activation=None, options=(False,), dropout=None
        )
        options = (n_members, layer.n_in)
        adapter = Node(
            "member_adapter", (value + 1,), activation=node.activation,
            options=options, dropout=node.dropout, layer=node.layer,
        )  # fmt: skip
        nodes += [product, adapter]
        value += 2
    return (*nodes, replace(last, inputs=(value,)))
