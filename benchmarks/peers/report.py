"""Tables of the results: for the terminal, for the README, for the documentation."""

from .registry import PEERS
from .summary import clean

BASE = next(iter(PEERS))


def shape_words(name, shape):
    """Rows × features, hidden layers, batch."""
    sizes = tuple(shape["hidden_layer_sizes"])
    hidden = str(sizes) if len(sizes) < 4 else f"{len(sizes)} of {sizes[0]}"
    return (
        f"{name}: {shape['samples']} × {shape['features']}, {hidden}, "
        f"{shape['batch_size']}"
    )


def milliseconds(ms):
    """Three digits."""
    if ms >= 100:
        return f"{ms:.0f}"
    return f"{ms:#.3g}" if ms >= 1 else f"{ms:.3f}"


def measured_peers(results):
    """Names of the peers in any shape, in the order of the registry."""
    found = {peer for shape in results["shapes"].values() for peer in shape["peers"]}
    return [peer for peer in PEERS if peer in found]


def cell(entry):
    """Time of a peer; ``!`` where its loss is not that of the others."""
    if entry is None:
        return ""
    if "ms_per_epoch" not in entry:
        return "failed"
    return milliseconds(entry["ms_per_epoch"]) + ("" if entry["agrees"] else " !")


def ratio(shape):
    """Best other's time over that of nnfit, with its quartiles over the rounds, as
    text, or nothing."""
    verdict = shape["verdict"]
    if verdict is None:
        return ""
    low, middle, high = (f"{verdict[key]:#.3g}" for key in ("low", "ratio", "high"))
    return f"{middle} ({low} – {high})"


def share(shape, peer=BASE):
    entry = shape["peers"].get(peer, {})
    return f"{entry['share_of_peak']:.0%}" if "share_of_peak" in entry else ""


def table(results):
    """Header and rows: shape, every peer's milliseconds, best other peer's time over
    that of nnfit, and nnfit's share of the peak."""
    peers = measured_peers(results)
    header = ["rows × features, hidden layers, batch"]
    header += [PEERS[peer].title for peer in peers]
    header += ["best peer / nnfit (quartiles)", "nnfit's share of peak"]
    rows = [
        [
            shape_words(name, shape),
            *(cell(shape["peers"].get(peer)) for peer in peers),
            ratio(shape),
            share(shape),
        ]
        for name, shape in results["shapes"].items()
    ]
    return header, rows


def markdown(results):
    """The table of the README, with a sentence on its origin above."""
    return f"{origin(results)}\n\n{markdown_table(*table(results))}\n"


def markdown_table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def origin(results):
    """Where the figures come from, and what they lack, in a few sentences."""
    machine = results["machine"]
    versions = machine["versions"]
    peers = [peer for peer in measured_peers(results) if peer != BASE]
    measured = {PEERS[peer].distribution for peer in peers}
    listed = [f"{name} {versions[name]}" for name in versions if name in measured]
    n = results["threads"]
    where, option = f"{'one thread' if n == 1 else f'up to {n} threads'} of an ", ""
    where += machine["cpu"]
    if "gpu" in machine:
        where, option = f"an {machine['gpu']['name']}", " --device cuda"
    figures = (
        f"Milliseconds of one epoch on {where}, float32, "
        f"Adam, medians of one run of `python -m benchmarks.peers{option}`"
        f"{' with ' if listed else ''}{', '.join(listed)}."
    )
    return " ".join([figures, *results["notes"]])


def align(rows):
    """Lines of a table, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def share_table(results):
    """Header and rows: every peer's share of the peak, and its number of threads."""
    return _entry_table(
        results,
        "share of peak (threads)",
        lambda entry: f"{entry['share_of_peak']:.0%} ({entry['threads']})",
    )


def ratio_table(results):
    """Header and rows: every other peer's time over that of nnfit."""
    peers = [peer for peer in measured_peers(results) if peer != BASE]
    rows = []
    for name, shape in results["shapes"].items():
        own = shape["peers"].get(BASE, {}).get("ms_per_epoch")
        times = [shape["peers"].get(peer, {}).get("ms_per_epoch") for peer in peers]
        rows.append([name, *(f"{t / own:.2f}" if t and own else "" for t in times)])
    return ["time over nnfit's", *(PEERS[peer].title for peer in peers)], rows


def loss_table(results):
    """Header and rows: every peer's training loss and test score."""
    return _entry_table(
        results,
        "loss, score",
        lambda entry: f"{entry['loss']:.3f}, {entry['score']:.3f}",
    )


def _entry_table(results, corner, words):
    peers = measured_peers(results)
    header = [corner, *(PEERS[peer].title for peer in peers)]
    rows = []
    for name, shape in results["shapes"].items():
        entries = [shape["peers"].get(peer, {}) for peer in peers]
        rows.append([name, *(words(e) if "ms_per_epoch" in e else "" for e in entries)])
    return header, rows


def verdict_table(results):
    """Header and rows: the best other peer's time over that of nnfit, what it says, how
    many fits of both were interrupted, and in how much of the others something waited
    for a processor."""
    rows = []
    for name, shape in results["shapes"].items():
        if shape["verdict"] is None:
            continue
        other = shape["verdict"]["peer"]
        entries = [shape["peers"][peer] for peer in (BASE, other)]
        runs = [entry["runs"][str(entry["threads"])] for entry in entries]
        spoiled = [f"{clean(r).count(False)} of {len(r['ms'])}" for r in runs]
        waited = [f"{min(r['waited']):.0%}" for r in runs]
        words = [PEERS[other].title, ratio(shape), shape["verdict"]["word"]]
        rows.append([name, *words, ", ".join(spoiled), ", ".join(waited)])
    header = ["verdict", "best peer", "its time over nnfit's (quartiles)", "nnfit is"]
    return [*header, "interrupted", "waiting, at least"], rows


def scaling_table(results):
    """Header and rows: nnfit's milliseconds by the number of threads, and its share
    of the peak of as many."""
    scaling = results["scaling"]
    numbers = list(next(iter(scaling.values())))
    rows = []
    for name, runs in scaling.items():
        texts = [
            f"{milliseconds(run['ms_per_epoch'])} ({run['share_of_peak']:.0%})"
            for run in runs.values()
        ]
        rows.append([name, *texts])
    return ["ms (share of peak) by threads", *numbers], rows


def terminal(results):
    """Everything, as text: times, the verdict, ratios, shares of the peak, losses and
    scores, scaling, and what went wrong."""
    makers = (table, verdict_table, ratio_table, share_table, loss_table)
    tables = [make(results) for make in makers]
    if "scaling" in results:
        tables.append(scaling_table(results))
    blocks = [align([header, *rows]) for header, rows in tables]
    peaks = [
        f"{shape['peak_gflops']:.0f} ({name})"
        for name, shape in results["shapes"].items()
    ]
    words = [origin(results), f"Peak in GFLOP/s: {', '.join(peaks)}."]
    words += complaints(results)
    return "\n\n".join("\n".join(block) for block in [*blocks, words])


def complaints(results):
    """Sentences on peers that failed or that did not train the same network."""
    sentences = []
    for name, shape in results["shapes"].items():
        for peer, entry in shape["peers"].items():
            for n, error in entry["errors"].items():
                sentences.append(f"FAILED {name}, {peer}, threads {n}: {error}")
            if not entry.get("agrees", True):
                losses = [f"{run['loss']:.4g}" for run in entry["runs"].values()]
                sentences.append(
                    f"DIFFERS {name}, {peer}: loss {', '.join(losses)} after "
                    f"{shape['epochs']} epochs, median {shape['median_loss']:.4g}; its "
                    "time is not that of the same training."
                )
    return sentences
