"""Sizes of caches, and the tile that ``python -m nnfit tune`` chooses."""

import re
import struct
import sys

import numpy as np
import pytest

import nnfit
from nnfit import information, tuning
from nnfit.__main__ import main
from nnfit.cache import folder
from nnfit.cpu import caches, tile_choice
from nnfit.cpu import target as targets

from .engines import use_processor

K, M = 1 << 10, 1 << 20

# ---------------------------------------------------------------- cache sizes


def write_caches(root, processor, *rows):
    """A tree as Linux has it: level, type and size of each cache."""
    for i, row in enumerate(rows):
        index = root / f"cpu{processor}" / "cache" / f"index{i}"
        index.mkdir(parents=True)
        for name, value in zip(("level", "type", "size"), row, strict=True):
            (index / name).write_text(f"{value}\n")


def test_caches_of_linux(tmp_path):
    fast = (1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2048K")
    write_caches(tmp_path, 0, *fast, (3, "Unified", "260M"))
    assert caches.of_linux(tmp_path, [0]) == {1: 48 * K, 2: 2 * M, 3: 260 * M}


def test_a_thread_may_run_on_the_core_with_less(tmp_path):
    write_caches(tmp_path, 0, (1, "Data", "48K"), (2, "Unified", "1280K"))
    write_caches(tmp_path, 5, (1, "Data", "32K"), (2, "Unified", "2M"))
    assert caches.of_linux(tmp_path, [0, 5]) == {1: 32 * K, 2: 1280 * K}


def test_caches_that_linux_does_not_say(tmp_path):
    write_caches(tmp_path, 0, (1, "Data", "48K"), (2, "Unified", ""), (3, "Data", "8X"))
    (tmp_path / "cpu0/cache/index4").mkdir()
    assert caches.of_linux(tmp_path, [0, 1]) == {1: 48 * K}


def test_caches_of_windows():
    records = b"".join(
        struct.pack("<IIBBHII", 2, 60, level, 8, 64, size, kind) + bytes(40)
        for level, size, kind in (
            *((1, 48 * K, 2), (1, 32 * K, 1)),
            *((2, 2 * M, 0), (2, 1 * M, 0), (3, 36 * M, 0)),
        )
    )
    assert caches.of_windows(records) == {1: 48 * K, 2: M, 3: 36 * M}
    assert caches.of_windows(b"") == caches.of_windows(bytes(19)) == {}


@pytest.mark.parametrize("system", ["linux", "darwin", "win32", "another"])
def test_info_where_the_system_does_not_tell(monkeypatch, system):
    """macOS and Windows do not have the function that is asked here."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(caches, "LINUX_FOLDER", "/nowhere")
    assert caches.sizes() == {}
    assert list(information._processor())[-1] == "data caches: the system does not tell"


def test_info_names_the_caches(monkeypatch):
    found = {3: 260 * M, 1: 48 * K, 2: 0}
    monkeypatch.setitem(caches._SYSTEMS, sys.platform, lambda: found)
    line = list(information._processor())[-1]
    assert line == "data caches: level 1 48 kB, level 3 266240 kB"


# ----------------------------------------------------------- the kept choice


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no choice that this process knows; returns its folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    targets._named_target.cache_clear()
    yield tmp_path / "cache" / "nnfit"
    targets._named_target.cache_clear()


@pytest.fixture
def target():
    return targets.untuned(targets.chosen_name())


@pytest.fixture
def measured(monkeypatch, target):
    """Rates by rows that `tune` finds, those of the last candidate the best."""
    rates = {
        rows: [100.0 + 5 * i] * len(tuning.DTYPES) * len(tuning.PRODUCTS)
        for i, rows in enumerate(tile_choice.CANDIDATES[target.tile_rows])
    }
    monkeypatch.setattr(tuning, "measure", lambda target: rates)
    return rates


def test_tune_keeps_the_fastest_tile(cache, measured, target, capsys):
    assert targets.host().tile_rows == target.tile_rows
    assert main(["tune"]) == 0
    *_, fastest = measured
    out, err = capsys.readouterr()
    assert f"\nChosen: {fastest} rows, 10 % faster than the" in out and err == ""
    assert len(out.splitlines()) == 9
    assert max(map(len, out.replace(str(cache), "").splitlines())) <= 80
    targets._named_target.cache_clear()
    assert targets.host().tile_rows == fastest
    assert len(list(cache.iterdir())) == 1
    assert main(["info"]) == 0
    assert "tile chosen by measurement" in capsys.readouterr().out


def test_tune_goes_back_to_the_tile_without_a_choice(cache, measured, target, capsys):
    tile_choice.store(target, max(measured))
    measured.update(dict.fromkeys(measured, [50.0] * 6))
    assert main(["tune"]) == 0
    assert f"Chosen: {target.tile_rows} rows, as without" in capsys.readouterr().out
    assert targets.host() == target


def test_a_choice_is_that_of_a_processor(cache, measured, monkeypatch):
    plain = use_processor(monkeypatch, "plain")
    assert main(["tune"]) == 0
    targets._named_target.cache_clear()
    *_, fastest = tile_choice.CANDIDATES[plain.tile_rows]
    assert use_processor(monkeypatch, "plain").tile_rows == fastest
    assert tile_choice.load(targets.untuned("host")) is None
    other = targets.replace(targets.untuned("plain"), features="+one-more")
    assert tile_choice.load(other) is None


@pytest.mark.parametrize("content", [b"", b"rows", b"7", b"-6", b"6 4", b"\xff"])
def test_what_is_no_choice_is_ignored(cache, target, content):
    with folder.open_cache() as opened:
        opened.write(tile_choice._name(target), content)
    assert tile_choice.load(target) is None
    assert targets.host().tile_rows == target.tile_rows


def test_a_damaged_choice_is_ignored(cache, target):
    rows = tile_choice.CANDIDATES[target.tile_rows][1]
    tile_choice.store(target, rows)
    (path,) = cache.iterdir()
    assert tile_choice.load(target) == rows
    path.write_bytes(path.read_bytes()[:-1] + b"9")
    assert tile_choice.load(target) is None


def test_without_a_cache_there_is_no_choice(cache, target):
    cache.parent.write_text("a file in the place of the folder")
    assert targets.host().tile_rows == target.tile_rows


def test_a_choice_that_cannot_be_kept_is_one_sentence(
    cache, monkeypatch, target, capsys
):
    def refuse(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tuning, "measure", lambda target: pytest.fail("too late"))
    monkeypatch.setattr(folder.Folder, "open", refuse)
    assert main(["tune"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err == (
        f"python -m nnfit tune: {cache} cannot be used for compiled kernels: Read-only "
        "file system. Set the environment variable NUMBA_CACHE_DIR to a folder of your "
        "own, or change this one.\n"
    )


def test_what_has_no_name_is_not_kept(cache, monkeypatch, target, capsys):
    monkeypatch.setattr(tile_choice.keys, "key", lambda *arguments: None)
    assert tile_choice.load(target) is None
    with pytest.raises(OSError, match=r"cannot be kept: nnfit's own modules .*\.$"):
        tile_choice.store(target, target.tile_rows)


def test_ctrl_c_changes_nothing(cache, monkeypatch, target, capsys):
    def interrupt(target):
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "measure", interrupt)
    assert main(["tune"]) == 130
    assert capsys.readouterr() == ("", "python -m nnfit tune: interrupted\n")
    assert list(cache.iterdir()) == []


# ---------------------------------------------------------------- measurement


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({8: [90, 40], 10: [80, 39], 12: [99, 44]}, (12, 1.1)),
        ({8: [90, 40], 10: [92, 41], 12: [91, 41]}, (8, 1.0)),
        ({8: [90, 40], 10: [120, 30], 12: [100, 37]}, (8, 1.0)),
    ],
    ids=["better", "hardly better", "in one product"],
)
def test_a_choice_must_pay_over_all_products(rates, expected):
    assert tuning.best(rates) == pytest.approx(expected)


def test_rates_are_of_the_undisturbed_turns():
    """Of three ways the second is the fastest, though others work in many turns."""
    now, turn = [0.0], [0]
    costs = {"a": 3e-6, "b": 2e-6, "c": 4e-6}

    def make(name):
        def run(repeats):
            turn[0] += 1
            now[0] += repeats * costs[name] + (0.05 if turn[0] % 4 == 0 else 0.0)

        return run

    runs = {name: make(name) for name in costs}
    rates = tuning.fastest_rates(runs, 6000, lambda: now[0])
    assert rates == pytest.approx({"a": 2.0, "b": 3.0, "c": 1.5})
    assert now[0] > tuning.TURNS * len(costs) * tuning.SECONDS


@pytest.mark.parametrize("product", tuning.PRODUCTS, ids=lambda product: product.name)
def test_products_that_are_measured_are_products(target, product):
    """The last tile of a height that does not divide the rows as well."""
    rows = tile_choice.CANDIDATES[target.tile_rows][1]
    kernel = tuning._kernel(target, "float64", rows)
    run = tuning._run(kernel, target, "float64", rows, product)
    a, b, c = (run.__closure__[run.__code__.co_freevars.index(n)].cell_contents
               for n in "abc")  # fmt: skip
    run(1)
    panel = target.panel("float64")
    panels = b.reshape(-1, product.k, panel)
    if product.of_copies:
        slot = targets.replace(target, tile_rows=rows).tile_slot("float64")
        tiles = a.reshape(-1, product.k, slot)[:, :, :rows]
        a = tiles.transpose(0, 2, 1).reshape(-1, product.k)[: product.rows]
        expected, c = a @ panels[-1], c.reshape(product.rows, panel)
    else:
        a = a.reshape(product.rows, product.k)
        expected = a @ panels.transpose(1, 0, 2).reshape(product.k, product.columns)
        c = c.reshape(expected.shape)
    np.testing.assert_allclose(c, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_a_real_choice_in_seconds(cache, target, capsys):
    assert main(["tune"]) == 0
    out = capsys.readouterr().out
    numbers = re.findall(r"\d+\.\d\b", "\n".join(out.splitlines()[1:7]))
    assert len(numbers) == 18 and min(map(float, numbers)) > 0.1
    assert tile_choice.load(target) in tile_choice.CANDIDATES[target.tile_rows]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_tile_changes_no_bit(cache, target, dtype):
    """Where nothing is added up over strips, such as a penalty."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 37)).astype(dtype), rng.integers(0, 3, 300)
    results = []
    for rows in tile_choice.CANDIDATES[target.tile_rows]:
        tile_choice.store(target, rows)
        targets._named_target.cache_clear()
        model = nnfit.MLPClassifier((150, 20), max_iter=3, alpha=0, random_state=0)
        results.append(model.fit(X, y).predict_proba(X))
        assert targets.host().tile_rows == rows
    for other in results[1:]:
        assert np.array_equal(other, results[0])
