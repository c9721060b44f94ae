"""One of several device functions, by its number in a table."""

#: Functions between which one device function chooses: each of these is compiled by
#: itself, which takes 30 ms.
AT_ONCE = 5


def make_choice(cuda, functions):
    """Build ``call(number, *arguments)``.

    Parameters
    ----------
    cuda : module
    functions : dict
        Device functions by number, which take the same arguments and return nothing. A
        number without a function does nothing.
    """
    items = sorted(functions.items())
    others = dict(items[AT_ONCE:])
    rest = make_choice(cuda, others) if others else None
    items += [(-1, None)] * (AT_ONCE - len(items))
    numbers, (first, second, third, fourth, fifth) = zip(*items[:AT_ONCE], strict=True)
    a, b, c, d, e = numbers
    # The compiler leaves out what a constant forbids.
    has_first, has_second, has_third, has_fourth, has_fifth = (n >= 0 for n in numbers)
    goes_on = rest is not None

    @cuda.jit(device=True)
    def call(number, *arguments):
        if has_first and number == a:
            first(*arguments)
        elif has_second and number == b:
            second(*arguments)
        elif has_third and number == c:
            third(*arguments)
        elif has_fourth and number == d:
            fourth(*arguments)
        elif has_fifth and number == e:
            fifth(*arguments)
        elif goes_on:
            rest(number, *arguments)

    return call
