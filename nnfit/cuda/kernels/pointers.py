"""The device's memory as pointers.

Kernels are given arrays, seven fields each, that every function would hand on to every
other. Of a pointer there is one, and it is indexed as in C: no index counts from its
end. `nnfit.cuda.lowering` compiles these functions; to Python, arrays are pointers.
"""


def pointer(array):
    """The first element of an array of one dimension."""
    return array


def offset(pointer, elements):
    """The pointer `elements` further on."""
    return pointer[elements:]
