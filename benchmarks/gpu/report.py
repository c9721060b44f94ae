"""What a run has found, as Markdown."""

from ..peers import report as peers_report

#: What nnfit shall reach: a peer's time over its own, at least, by shape.
GOALS = {
    "torch": dict.fromkeys(("tiny", "digits", "small", "cover", "wide", "large"), 3.0),
    "compiled": {
        **dict.fromkeys(("tiny", "digits", "small", "cover"), 1.0),
        "large": 1 / 1.5,
    },
}


def table(header, rows):
    """Lines of a table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines] + [""]


def goals(peers):
    """Rows of what was to be reached: shape, peer, ratio, goal, whether it is met."""
    rows = []
    for peer, least in GOALS.items():
        for name, goal in least.items():
            entries = peers["shapes"].get(name, {"peers": {}})["peers"]
            times = [
                entries.get(each, {}).get("ms_per_epoch")
                for each in (peer, peers_report.BASE)
            ]
            if all(times):
                ratio = times[0] / times[1]
                rows.append([name, peer, ratio, goal, ratio >= goal])
    return rows


def markdown(results):
    """All parts that there are."""
    machine = results["machine"]
    lines = ["# nnfit on a GPU", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items()]
    lines += ["", *table(["part", "outcome", "seconds"], _outcomes(results)), ""]
    for name, write in PARTS.items():
        part = results["parts"].get(name, {})
        if "error" in part:
            lines += [f"## {name}", "", "```", part["error"], "```", ""]
        elif part:
            lines += [f"## {name}", "", *write(part), ""]
    return "\n".join(lines)


def _outcomes(results):
    return [
        [name, words_of(part), f"{part['seconds']:.0f}"]
        for name, part in results["parts"].items()
    ]


def words_of(part):
    """Whether a part has passed, in a word or two."""
    if "error" in part:
        return "FAILED: " + part["error"].strip().splitlines()[-1]
    return {True: "passed", False: "FAILED", None: "measured"}[part.get("ok")]


def write_checks(part):
    """Numbers of what passed, and all that did not."""
    lines = [f"{part['passed']} of {part['total']} passed, {part['not_run']} not run."]
    lines += ["", *table(["limit", "worst", "of"], part["worst"])]
    for outcome in part["failures"]:
        lines += [
            f"- **{outcome['task']} {outcome['arguments']}**: {outcome['status']}"
        ]
        words = outcome.get("error") or str(outcome.get("result"))
        lines += ["", "```", words, "```", ""]
    return lines


def write_sanitizer(part):
    """What each tool said."""
    if "skipped" in part:
        return [part["skipped"]]
    lines = table(["tool", "launches", "outcome"], part["outcomes"])
    for words in part["words"]:
        lines += ["", "```", words, "```"]
    return lines


def write_compile(part):
    """First fits with an empty cache, with a full one, and later ones."""
    rows = [[name, f"{seconds:.2f}"] for name, seconds in part["rows"].items()]
    return table(["a fit of digits", "seconds"], rows)


def write_peers(part):
    """The tables of `benchmarks.peers`, and the goals."""
    makers = (peers_report.table, peers_report.ratio_table, peers_report.share_table)
    lines = [peers_report.origin(part), ""]
    for make in (*makers, peers_report.loss_table):
        lines += table(*make(part))
    rows = [
        [name, peer, f"{ratio:.2f}", f"{goal:.2f}", "met" if met else "MISSED"]
        for name, peer, ratio, goal, met in goals(part)
    ]
    lines += table(["shape", "peer", "its time over nnfit's", "goal", ""], rows)
    return lines + [f"- {words}" for words in peers_report.complaints(part)]


def write_kernels(part):
    """Peaks, and a row for every operation."""
    copies = ", ".join(f"{v:.0f} GB/s by {k}" for k, v in part["bandwidths"].items())
    lines = [
        f"Measured: {part['peak_gflops']:.0f} GFLOP/s of multiply-adds in float32; "
        f"copies of memory, read and written, {copies}. Bytes of an operation are the "
        "least that it must move; what lies in a cache can exceed the memory's share.",
        "",
    ]
    header = [
        "network",
        "tile",
        "how",
        "operation",
        "microseconds",
        "peak",
        "bandwidth",
    ]
    rows = [
        [
            *(row[key] for key in header[:4]),
            f"{row['microseconds']:.2f}",
            *(
                f"{row[key]:.0%}" if key in row else ""
                for key in ("share_of_peak", "share_of_bandwidth")
            ),
        ]
        for row in part["rows"]
    ]
    return lines + table(header, rows)


def write_population(part):
    """Networks a second."""
    lines = []
    for title, outcome in part["rates"].items():
        rows = [[name, f"{rate:.1f}"] for name, rate in outcome.items()]
        lines += table([title, "networks a second"], rows)
    return lines


PARTS = {
    "checks": write_checks,
    "sanitizer": write_sanitizer,
    "peers": write_peers,
    "kernels": write_kernels,
    "population": write_population,
    "compile": write_compile,
}
