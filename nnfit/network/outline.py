"""A network in the words of its reader: blocks, of which each is one or more nodes.

A dense layer with what belongs to it, such as its normalisation, its activation or the
factors of members, is one block.
"""

from typing import NamedTuple

from nnfit.network.kinds import activation_of, kind_of


class Block(NamedTuple):
    """A part of a network.

    Attributes
    ----------
    name : str
        "features", "hidden 1" and so on, "output", or what is done to the features.
    n_out : int
        Units, of each member.
    details : tuple of str
        Activation, normalisation and the like.
    n_parameters : int
        Trained numbers.
    inputs : tuple of int
        Blocks that it reads.
    nodes : tuple of int
        Numbers of its nodes, in order.
    product : int or None
        Node of the matrix, of a layer of the chain.
    """

    name: str
    n_out: int
    details: tuple[str, ...]
    n_parameters: int
    inputs: tuple[int, ...]
    nodes: tuple[int, ...]
    product: int | None

    @property
    def is_layer(self):
        """Whether it is a layer of the chain."""
        return self.product is not None


def outline(network):
    """The blocks of a network, the features first.

    Parameters
    ----------
    network : nnfit.network.Network

    Returns
    -------
    list of Block
    """
    groups = _groups(network.nodes)
    block_of = {0: 0}
    for number, group in enumerate(groups, 1):
        block_of |= {node + 1: number for node in group}
    n_hidden = sum(_product(network, group) is not None for group in groups) - 1
    blocks, hidden = [Block("features", network.n_features, (), 0, (), (), None)], 0
    for number, group in enumerate(groups, 1):
        inputs = {block_of[v] for node in group for v in network.nodes[node].inputs}
        product, first = _product(network, group), network.nodes[group[0]]
        name = getattr(kind_of(first), "title", first.kind.replace("_", " "))
        if product is not None:
            hidden += 1
            name = f"hidden {hidden}" if hidden <= n_hidden else "output"
        own = [each for node in group for each in network.tensors_of_nodes[node]]
        blocks.append(
            Block(
                name,
                network.widths[group[-1] + 1],
                _details(network, group),
                sum(tensor.size_trained for tensor in own),
                tuple(sorted(inputs - {number})),
                tuple(group),
                product,
            )
        )
    return blocks


def layers(network):
    """The layers of the chain among the blocks, a list of `Block`."""
    return [block for block in outline(network) if block.is_layer]


def shortened(blocks, most):
    """At most so many blocks, one of which stands for layers that are left out.

    Parameters
    ----------
    blocks : list of Block
    most : int
        What stands before the chain, and the last layers, stay in any case.

    Returns
    -------
    list of Block
    """
    n_last = 3
    first_layer = next(n for n, block in enumerate(blocks) if block.is_layer)
    n_first = max(first_layer + 1, most - n_last - 1)
    left_out = blocks[n_first:-n_last]
    if len(blocks) <= most or len(left_out) < 2:
        return blocks
    sizes = {block.n_out for block in left_out}
    details = "each" if len(sizes) == 1 else "at most"
    middle = Block(
        f"{len(left_out)} more layers",
        max(sizes),
        (*left_out[0].details, details),
        sum(block.n_parameters for block in left_out),
        (n_first - 1,),
        tuple(node for block in left_out for node in block.nodes),
        left_out[0].product,
    )
    last = [
        block._replace(inputs=(n_first + place,))
        for place, block in enumerate(blocks[-n_last:])
    ]
    return [*blocks[:n_first], middle, *last]


def _groups(nodes):
    """Numbers of the nodes of each block."""
    places = [getattr(kind_of(node), "place", None) for node in nodes]
    chain = places.index("layer") if "layer" in places else len(nodes)
    while chain and places[chain - 1] == "before" and len(nodes[chain - 1].inputs) == 1:
        chain -= 1
    groups, waiting = [], []
    for number, place in enumerate(places):
        if number >= chain and place == "before":
            waiting.append(number)
        elif number > chain and place == "after" and groups:
            groups[-1].append(number)
        else:
            groups.append([*waiting, number])
            waiting = []
    return groups


def _product(network, group):
    """The node of a block that is a layer of the chain, or None."""
    of_layer = (
        number
        for number in group
        if getattr(kind_of(network.nodes[number]), "place", None) == "layer"
    )
    return next(of_layer, None)


def _details(network, group):
    """What happens in a block beside its product."""
    found, nodes = [], [network.nodes[number] for number in group]
    for node in nodes:
        found += getattr(kind_of(node), "details", activation_of)(node)
    is_layer = _product(network, group) is not None
    if is_layer and any(len(node.inputs) > 1 for node in nodes):
        found.append("residual")
    return tuple(dict.fromkeys(found))
