"""How much memory a fit takes beside the data it is given."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from nnfit import MLPClassifier, MLPRegressor
from nnfit.cpu import target as targets
from nnfit.cpu import training_plans
from nnfit.engine_settings import Features
from nnfit.functions.activations import ACTIVATIONS
from nnfit.functions.losses import LOSSES
from nnfit.functions.optimizers import OPTIMIZERS
from nnfit.network import Network
from nnfit.network.kinds import Node
from nnfit.network.members import Members, member_nodes
from nnfit.training import memory
from nnfit.training.containers import memory_left
from tests.engines import make_network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: Most that a fit allocates, in tables of 50 columns. The order of the rows takes 0.04
#: in float32, so do the encoded labels while they are sorted, a stratified split 0.1.
LIMITS = {"float32": 0.15, "float64": 0.65}  # the latter with a copy in float32


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "numbers"])
def test_a_fit_allocates_little_beside_a_large_table(kind, early_stopping, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100_000, 50)).astype(dtype)
    numbers = X[:, 0].copy()
    y = {"binary": numbers > 0, "multiclass": (3 * numbers).astype(int) % 5}
    estimator = MLPRegressor if kind == "numbers" else MLPClassifier
    model = estimator(
        hidden_layer_sizes=(8,), max_iter=1, early_stopping=early_stopping
    )
    y = y.get(kind, numbers)
    model.fit(X[:1000], y[:1000])  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LIMITS[dtype] * X.nbytes


def test_a_fit_leaves_arrays_of_files_where_they_are(tmp_path):
    """Also read-only ones."""
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((50_000, 50), "f4"), rng.random(50_000, "f4")
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    files = [tmp_path / f"{number}.npy" for number in range(2)]
    X, y = (np.load(file, mmap_mode="r") for file in files)
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=1, random_state=0)
    expected = model.fit(*arrays).coefs_[0].copy()  # compiled, too
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LIMITS["float32"] * X.nbytes
    np.testing.assert_array_equal(model.coefs_[0], expected)


@pytest.mark.parametrize(("density", "limit"), [(0.001, 0.7), (0.2, 3.0)])
def test_the_check_counts_the_batch_that_a_fit_makes(density, limit, monkeypatch):
    """The entries of sparse rows, two copies of rows that are written out."""
    monkeypatch.setattr(memory, "SMALL", 0)
    X = scipy.sparse.random(
        256, 20_000, density, "csr", dtype=np.float32, random_state=0
    )
    y = np.arange(256.0)
    dense_batch = 256 * 20_000 * 4
    model = MLPRegressor(
        hidden_layer_sizes=(16,), batch_size=256, max_iter=1, random_state=0
    )
    model.fit(X, y)  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < limit * dense_batch
    monkeypatch.setattr(memory, "available_memory", lambda: limit * dense_batch)
    model.fit(X, y)
    monkeypatch.setattr(memory, "available_memory", lambda: peak / 2)
    with pytest.raises(MemoryError, match="available memory"):
        model.fit(X, y)


COUNTED = {
    "plain": {},
    "average": {"ema_decay": 0.9},
    "best weights": {"early_stopping": True},
    "clipped": {"clip_norm": 1.0},
    "shortened": {"max_norm": 1.0},
    "augmented": {"mixup": 0.2, "input_noise": 0.1, "input_dropout": 0.1},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "residual": {"residual": True},
    "projection": {"residual": True, "hidden_layer_sizes": (400, 399)},
    "muon": {"solver": "muon"},
    "schedule-free": {"solver": "schedule_free"},
    "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_check_counts_what_features_keep(name, monkeypatch):
    counted = []

    def training_memory(*arguments):
        counted.append(exact(*arguments))
        return counted[-1]

    exact = memory.training_memory
    monkeypatch.setattr(memory, "training_memory", training_memory)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((400, 30)).astype(np.float32), rng.standard_normal(400)
    model = MLPRegressor(
        hidden_layer_sizes=(400, 400), batch_size=50, max_iter=1, n_jobs=1
    )
    model.set_params(**COUNTED[name]).fit(X, y)  # compiled
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.8 * peak < counted[-1] < 1.6 * peak


# containers ------------------------------------------------------------------

V2 = "42 32 0:29 {mounted} /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "43 32 0:30 {mounted} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
CPU = "44 32 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
DISK = "30 1 8:1 / / rw,relatime - ext4 /dev/root rw\n"
FREE = 9223372036854771712  # of version 1, where there is no limit


def system(root, groups, mounts, folders):
    """A system's files, with limit, use and pages of files of groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(DISK + CPU + mounts)
    for path, (limit, used, cached) in folders.items():
        folder = root / path
        folder.mkdir(parents=True, exist_ok=True)
        old = path.startswith("sys/fs/cgroup/memory")
        names = ("limit_in_bytes", "usage_in_bytes") if old else ("max", "current")
        for name, value in zip(names, (limit, used), strict=True):
            (folder / f"memory.{name}").write_text(f"{value}\n")
        total = "total_" * old
        lines = f"anon {used - cached}\n{total}inactive_file {cached}\npgfault 7\n"
        (folder / "memory.stat").write_text(lines)
    return root


V2_GROUPS = "0::/user/job\n"
V1_GROUPS = "5:cpu,cpuacct:/x\n4:memory:/docker/1a\n0::/other\n"
SYSTEMS = {
    "none": ("0::/\n", "", {}, None),
    "unlimited": (
        V2_GROUPS, V2.format(mounted="/"), {"sys/fs/cgroup/user/job": ("max", 5, 0)},
        None,
    ),
    "version 2": (
        V2_GROUPS, V2.format(mounted="/"), {"sys/fs/cgroup/user/job": (900, 300, 100)},
        700,
    ),
    "the group around it": (
        V2_GROUPS,
        V2.format(mounted="/"),
        {
            "sys/fs/cgroup/user/job": (900, 300, 0),
            "sys/fs/cgroup/user": (1000, 800, 50),
        },
        250,
    ),
    "namespace of version 2": (
        "0::/\n", V2.format(mounted="/"), {"sys/fs/cgroup": (500, 600, 0)}, 0,
    ),
    "version 1": (
        V1_GROUPS,
        V1.format(mounted="/"),
        {
            "sys/fs/cgroup/memory/docker/1a": (900, 300, 0),
            "sys/fs/cgroup/memory": (FREE, 5000, 0),
        },
        600,
    ),
    "container of version 1": (
        V1_GROUPS,
        V1.format(mounted="/docker/1a"),
        {"sys/fs/cgroup/memory": (900, 300, 200)},
        800,
    ),
    "both": (
        V1_GROUPS,
        V1.format(mounted="/") + V2.format(mounted="/").replace("cgroup rw", "u rw"),
        {
            "sys/fs/cgroup/memory/docker": (900, 300, 0),
            "sys/fs/u/other": (400, 100, 0),
        },
        300,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SYSTEMS)
def test_limits_of_containers(name, tmp_path, monkeypatch):
    groups, mounts, folders, expected = SYSTEMS[name]
    root = system(tmp_path, groups, mounts, folders)
    assert memory_left(root) == expected
    monkeypatch.setattr(memory, "memory_left", lambda: memory_left(root))
    monkeypatch.setattr(memory, "_of_machine", lambda: 650)
    assert memory.available_memory() == min(650, 650 if expected is None else expected)


def test_a_container_too_small_for_a_fit(tmp_path, monkeypatch):
    left = {"sys/fs/cgroup/user/job": (2**30, 2**30 - 2**24, 0)}
    root = system(tmp_path, V2_GROUPS, V2.format(mounted="/"), left)
    monkeypatch.setattr(memory, "memory_left", lambda: memory_left(root))
    X = np.zeros((10, 1000))
    with pytest.raises(MemoryError, match=r"got 0\.0156 GiB of available memory"):
        MLPRegressor(hidden_layer_sizes=(3000,)).fit(X, X[:, 0])


def test_where_there_is_no_proc(tmp_path):
    assert memory_left(tmp_path) is None


@pytest.mark.parametrize("kind", [None, "layer", "batch"])
def test_what_layers_keep_is_counted(kind, set_parts):
    set_parts(None)
    activation = ACTIVATIONS["tanh"]
    nodes = (
        Node("scale", (0,)),
        Node("dense", (1,), 128, options=(False,)),
        Node("normalization", (2,), activation=activation, options=(kind,)),
        Node("dense", (3,), 128, activation, options=(True,)),
        Node("concatenation", (3, 4)),
        Node("parametric_activation", (5,), activation=activation),
        Node("dense", (6,), 16, options=(True,)),
    )
    network = Network(128, nodes, LOSSES["squared_error"], (), "float32")
    assert_memory_is_counted(network, 50_000)


@pytest.mark.parametrize("adapters", ["all", "first"])
def test_what_members_keep_is_counted(adapters, set_parts):
    set_parts(None)
    chain = make_network((128, 96, 96, 16), "tanh", dtype="float32")
    nodes = member_nodes(chain.layers, (), Members(8, adapters))
    network = replace(chain, nodes=nodes, layers=())
    assert_memory_is_counted(network, 6_000)
    assert_memory_is_counted(network.with_own_rows, 6_000)


def assert_memory_is_counted(network, rows):
    """Of a whole batch, so large that the other buffers are few."""
    adam = OPTIMIZERS["adam"]
    plan = training_plans.training_plan(
        network, adam, targets.host(), rows, 16, 1, False, Features()
    )
    counted = memory.training_memory(network, 2, rows, np.zeros((rows, 128), "f4"))
    assert 0.5 * counted < plan.size < 1.05 * counted
