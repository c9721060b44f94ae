"""The device's memory as pointers.

Kernels get arrays. An array has seven fields, which each call would pass on; a pointer
is one number. It is indexed as in C, where no index counts from the end.
`nnfit.cuda.lowering` compiles these functions; in Python, arrays stand for pointers.
"""


def pointer(array):
    """The first element of an array of one dimension."""
    return array


def offset(pointer, elements):
    """The pointer `elements` further on."""
    return pointer[elements:]
