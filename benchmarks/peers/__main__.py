"""Compare nnfit with other libraries, each at its best, in one run.

From the root of the checkout, with the peers to compare with (those that are not
installed are left out; ``pip install --group peers`` brings all)::

    python -m benchmarks.peers
    python -m benchmarks.peers tiny digits --threads 1 --repeats 9 --json result.json
    python -m benchmarks.peers --device cuda
    python -m benchmarks.peers --from-json result.json --markdown

The time of an epoch is a long fit less a short one, over the difference of their
epochs; the table shows medians over rounds, and the verdict quartiles as well. Every
peer runs with all threads and with one, and the better median counts. Rounds that
something else on the machine has interrupted do not count and are repeated while there
is time. An exclamation mark stands at a peer whose loss after the same number of epochs
is not that of the others. NNFIT_CPU=avx2 holds all to AVX2.
"""

import argparse
import json
import sys
import time

from ..shapes import shapes_for
from . import machine, measure, report
from .registry import peers_for

SCALED = ["cover", "wide"]


def arguments(argv=None):
    about, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=about,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shapes", nargs="*", metavar="shape", help="default: all")
    add = parser.add_argument
    add("--peers", metavar="LIST", help="some of " + ",".join(peers_for("cpu")))
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--threads", type=int, help="default: all cores")
    add("--repeats", type=int, default=7, help="rounds, if time allows (default 7)")
    add("--minutes", type=float, default=10, help="for all (default 10)")
    add("--timeout", type=float, default=600, help="seconds for one answer of a peer")
    add("--scaling", action="store_true", help="also nnfit on 1, 2, 4, ... threads")
    add("--strict", action="store_true", help="exit with 1 if a loss differs")
    add("--json", metavar="FILE", help="write all figures there")
    add("--chart", metavar="FILE", help="draw a chart, as SVG")
    add("--from-json", metavar="FILE", help="measure nothing, take figures from there")
    add("--markdown", action="store_true", help="print the table of the README")
    options = parser.parse_args(argv)
    if options.threads is None:
        options.threads = machine.n_cores() if options.device == "cpu" else 1
    shapes, peers = shapes_for(options.device), peers_for(options.device)
    options.shapes = options.shapes or shapes
    options.peers = options.peers.split(",") if options.peers else peers
    for kind, given, known in (
        ("shape", options.shapes, shapes),
        ("peer", options.peers, peers),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown:
            parser.error(f"unknown {kind} {unknown}; choose from {known}")
    if options.scaling and options.device != "cpu":
        parser.error("--scaling is for threads of the CPU")
    for name in ("threads", "repeats", "minutes", "timeout"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} must be positive, got {getattr(options, name)}")
    return options


class Progress:
    """Writes lines about what goes on, with the seconds since it began; on a terminal
    the next one overwrites it, unless it says what failed."""

    def __init__(self):
        self.start = time.perf_counter()

    def __call__(self, line):
        is_passing = sys.stderr.isatty() and "failed" not in line
        start, end = ("\033[K", "\r") if is_passing else ("", "\n")
        seconds = time.perf_counter() - self.start
        # At once: several threads have something to say.
        sys.stderr.write(f"{start}{seconds:4.0f} s: {line}{end}")
        sys.stderr.flush()


def gpu_problem():
    """Why no GPU can be used, or None."""
    from nnfit.cuda import toolkit

    return toolkit.problem()


def measured(options):
    """Measure as the command line says; returns what --json writes."""
    device = options.device
    peers, notes = measure.installed(options.peers, device)
    settings = (options.threads, options.repeats, options.timeout, Progress())
    seconds = 60 * options.minutes / (len(options.shapes) + options.scaling)
    results = {
        "machine": machine.describe(device),
        "threads": options.threads,
        "repeats": options.repeats,
        "notes": notes,
        "shapes": measure.compare(options.shapes, peers, *settings, device, seconds),
    }
    if options.scaling:
        results["scaling"] = measure.scaling(SCALED, *settings)
    return results


def main(argv=None):
    options = arguments(argv)
    if options.from_json:
        with open(options.from_json) as file:
            results = json.load(file)
    else:
        if options.device == "cuda" and (problem := gpu_problem()):
            print(problem, file=sys.stderr)
            return 2
        try:
            results = measured(options)
        except KeyboardInterrupt:
            return 130
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
            file.write("\n")
    if options.chart:
        from . import chart

        chart.save(results, options.chart)
    write = report.markdown if options.markdown else report.terminal
    print(write(results))
    return int(options.strict and bool(report.complaints(results)))


if __name__ == "__main__":
    sys.exit(main())
