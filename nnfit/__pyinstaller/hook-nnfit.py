"""What an application needs of nnfit that PyInstaller does not see.

Exports and builders of kernels are imported by name when first used. numba's metadata
say which version compiled what, so that no later start imports numba.
"""

from PyInstaller.utils.hooks import collect_submodules, copy_metadata

hiddenimports = collect_submodules(
    "nnfit", filter=lambda name: not name.startswith("nnfit.__pyinstaller")
)
hiddenimports += ["numba._devicearray"]  # numba's C code imports it
datas = copy_metadata("numba") + copy_metadata("llvmlite")
