"""Caches of compiled code that cannot be used cost time, never a result."""

import os
import pwd
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from nnfit.cache.folder import cache_folder, find_cache
from nnfit.cpu import compiling, kernels
from tests.trials.conftest import SHARE
from tests.trials.fits import FITS, fit
from tests.trials.workers import Worker

#: Variables that name the folder of the cache.
FOLDERS = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME")


# ------------------------------------------------------ folders that are not there


@contextmanager
def disk(folder, *options):
    """A file system of its own, which only root can have."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def full_disk(folder):
    """With room for a few of the kernels."""
    with disk(folder, "size=40k"):
        yield {"NUMBA_CACHE_DIR": folder}
        assert shutil.disk_usage(folder).free < 20_000, "the disk is not full"


@contextmanager
def read_only_home(folder):
    with disk(folder, "ro"):
        yield {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": None, "HOME": folder}


@contextmanager
def no_home(folder):
    yield dict.fromkeys(FOLDERS)


def fit_of(name, homeless):
    """Digest of a fit, perhaps of a user whom the system does not know."""
    if homeless:

        def getpwuid(number):
            raise KeyError(number)

        pwd.getpwuid = getpwuid
    return fit(name), find_cache()[1]


#: Each fit compiles all of its kernels, some 25 seconds; that nothing can be written is
#: tested with the smallest kernel in tests/test_cache.py, too, but a full disk is not.
SURROUNDINGS = [full_disk, read_only_home, no_home] if SHARE else [full_disk]


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_folders(trial, surroundings, tmp_path):
    n_fits = trial.rounds(full=10, fewest=1)
    names = [str(name) for name in trial.rng.permutation(FITS)[:n_fits]]
    homeless = surroundings is no_home
    with Worker() as worker:
        expected = [worker.call(fit, name).result() for name in names]
    with surroundings(tmp_path / "disk") as variables, Worker(**variables) as worker:
        for name, digest in zip(names, expected, strict=True):
            found, problem = worker.call(fit_of, name, homeless).result()
            assert found == digest
            assert (problem is None) == (surroundings is full_disk)
    trial.figure(f"{n_fits} of {n_fits} fits have the same bits")


# ------------------------------------------------------------------ damaged files

RELU = (kernels.ACTIVATION, "relu", "float32")


def flip_bits(data, rng):
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


DAMAGES = {
    "truncated": lambda data, rng: data[: rng.integers(len(data))],
    "bits flipped": flip_bits,
    "zeros from somewhere on": lambda data, rng: (
        data[: (place := rng.integers(len(data)))] + bytes(len(data) - place)
    ),
    "longer": lambda data, rng: data + rng.bytes(rng.integers(1, 5000)),
    "of another version": lambda data, rng: data.replace(b"object-1", b"object-0"),
    "noise": lambda data, rng: rng.bytes(len(data)),
}


def damage(path, rng, kind):
    """Replace a file by what is left of it after some accident; whether it differs."""
    data = path.read_bytes()
    changed = DAMAGES[kind](data, rng)
    path.write_bytes(changed)
    return changed != data


def test_every_damage_is_noticed(trial, cache):
    compiling.load(*RELU)
    (path,) = cache.glob("*.nnfit")
    data, n_files, n_damaged = path.read_bytes(), trial.rounds(20_000, 1000), 0
    for number in range(n_files):
        path.write_bytes(data)
        kind = list(DAMAGES)[number % len(DAMAGES)]
        n_damaged += damage(path, trial.rng, kind)
        n_damaged -= bool(compiling.missing([RELU]))
    trial.figure(f"{n_damaged} of {n_files} damaged files would be loaded")
    assert n_damaged == 0


def fit_and_tell(name):
    """Digest of a fit, and whether anything was compiled."""
    return fit(name), "numba" in sys.modules


def test_fits_with_damaged_files(trial, tmp_path):
    """A process that finds some compiles these again, and the next one nothing."""
    n_rounds, n_damaged = trial.rounds(full=20, fewest=1), 0
    for number in range(n_rounds):
        name = FITS[number % len(FITS)]
        with Worker() as worker:  # compiles in this machine's cache what it lacks
            expected = worker.call(fit, name).result()
        cache = tmp_path / str(number)
        shutil.copytree(cache_folder(), cache / "nnfit")
        for path in sorted(cache.glob("*/*.nnfit")):
            if trial.rng.integers(3) == 0:
                kind = list(DAMAGES)[trial.rng.integers(len(DAMAGES))]
                n_damaged += damage(path, trial.rng, kind)
        results = []
        for _ in range(2):
            with Worker(NUMBA_CACHE_DIR=cache) as worker:
                results.append(worker.call(fit_and_tell, name).result())
        assert [digest for digest, _ in results] == [expected] * 2
        assert not results[1][1], "the damaged files were not replaced"
        shutil.rmtree(cache)
    trial.figure(
        f"{n_rounds} of {n_rounds} fits have the same bits with {n_damaged} damaged "
        "files in their caches"
    )
