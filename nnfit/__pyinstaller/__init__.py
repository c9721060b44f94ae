"""For PyInstaller, which finds this by the entry point ``pyinstaller40``."""

from pathlib import Path


def get_hook_dirs():
    """Return the folders of hooks."""
    return [str(Path(__file__).parent)]
