"""The tile that `python -m nnfit tune` chose for a processor, kept with the kernels.

Its name is that of a kernel: of the processor, with its features, of nnfit's version
and all else that decides what is compiled. So machines that share a cache have choices
of their own, and a choice does not outlive the code that was measured.
"""

from contextlib import suppress

from nnfit import fork_lock
from nnfit.cache import keys
from nnfit.cache.compiled import NAMELESS_PACKAGE
from nnfit.cache.folder import SUFFIX, open_cache

#: Rows of tiles to choose among, by the height that a processor has untuned, which is
#: the first. All fit its registers: twice the rows, two vectors of B and one of A.
CANDIDATES = {6: (6, 4, 5), 8: (8, 10, 12), 12: (12, 8, 10)}


def load(target):
    """Return the rows chosen for a processor, None if there is no choice.

    Parameters
    ----------
    target : nnfit.cpu.target.Target
        As it is untuned.
    """
    with fork_lock.held(), suppress(OSError, ValueError):
        name = _name(target)
        with open_cache() as folder:
            rows = int(folder.read(name) or b"0")
        if rows in CANDIDATES[target.tile_rows]:
            return rows
    return None


def store(target, rows):
    """Keep a choice, in the place of the one before.

    Raises
    ------
    OSError
        If it cannot be kept; a sentence says why.
    """
    name = _name(target)
    with open_cache() as folder:
        folder.check_writable()
        folder.write(name, str(rows).encode())


def check_writable():
    """Raise an OSError, a sentence, if no choice can be kept."""
    with open_cache() as folder:
        folder.check_writable()


def _name(target):
    key = keys.key("tile", (), b"", target)
    if key is None:
        raise OSError(f"The choice of a tile cannot be kept: {NAMELESS_PACKAGE}")
    return key + SUFFIX
