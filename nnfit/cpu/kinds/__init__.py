"""Kinds of layers on the CPU: a module each.

    lay_out(graph, number, node)    reserve a layer's row, buffers and functions, and
                                    write down the instructions of its way forward
    way_back(graph, number, node)   those of its way back; left out, `backward` finds
                                    the gradient by its one input, if any is wanted
    add_units(graph, number, node)  the units of its tensors, in their order
    build(target, dtype)            compiled functions, `nnfit.cpu.kernels.operations`
    BUILDER                         what compiles, where that is another module's
    kernel_name(node)               what `build` takes besides; optional
    NAMES                           all that it may be
    takes_entries                   whether it reads the entries of a sparse matrix;
                                    left out, it gets the rows written out
    works_in_parts                  whether a batch may be done in parts: no row needs
                                    another but for running statistics, and gradients
                                    of units are added to the goal where `ADDS` says so;
                                    left out, the batch is done as a whole

`graph` is a `nnfit.cpu.graph.Graph`, `node` number `number` of its network. numba is
imported by `build` alone: a process that finds compiled code in the cache calls none.
"""
