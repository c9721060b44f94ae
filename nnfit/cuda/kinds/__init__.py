"""Kinds of layers on a GPU: a module each.

    OPERATIONS, GRADIENTS           names of the device functions that it may build
    DROPS                           True: it drops units itself; optional
    traits(node)                    words: what its functions must do for this layer
    lay_out(graph, number, node)    reserve a layer's row and buffers, and write down
                                    the phases of its way forward
    way_back(graph, number, node)   those of its way back; left out, `backward` finds
                                    the gradient by its one input, if any is wanted
    add_units(graph, number, node)  the units of its tensors, in their order
    make(build, traits)             device functions by name: those of OPERATIONS that
                                    such layers need; in a kernel without a way back,
                                    those of the way forward
    make_gradients(build, traits, store)
                                    device functions by name, those of GRADIENTS
    make_sizes(build, traits, size) the same for penalised tensors: their penalties
    make_steps(build, traits, step) the same for tensors of which a batch has some
                                    lines: steps of these; optional

`graph` is a `nnfit.cuda.graph.Graph`, `node` number `number` of its network, `build` a
`nnfit.cuda.kernels.building.Build`; traits are those of all layers of the kind.

    operation(m, net, place, now, block, n_blocks)         of the row at a place
    gradient(m, net, group, now, parts, block, n_blocks)   of a group of units
    penalty(m, net, group, now, parts, block, n_blocks)    likewise
    store(m, update, p, g) -> float                        takes the gradient of p
    size(update, w) -> float                               penalty of a parameter
    steps(m, net, group, now, factor, block, n_blocks)     likewise
    step(m, update, p, factor)                             moves p by its kept gradient

All blocks run a function together. A gradient adds up what `store` returns over a unit,
and writes the sum to the double at `parts` plus the unit's number. numba is imported
when functions are built, not before.
"""
