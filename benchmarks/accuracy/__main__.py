"""Compare models on a folder of tables: how good, how fast, in how much memory.

From the root of the checkout; a file FOLDER/NAME.parquet has a column ``target``, whose
task comes from FOLDER/index.json or from its values::

    python -m benchmarks.accuracy FOLDER --json results.json
    python -m benchmarks.accuracy FOLDER --models nnfit,lightgbm --splits 1
    python -m benchmarks.accuracy --from-json results.json --markdown
    python -m benchmarks.accuracy --from-json results.json --picture ranks.svg

Models that are not installed are left out (``pip install --group accuracy`` brings
all); ``module:function`` is a maker of your own, which takes task, threads and seed.
Each model fits each table in a process of its own, after a small fit that compiles;
every fit is written to the file when it has ended, and the same command goes on after
an interruption. A model that fails counts as the last of that table. The tables
compare on the splits that all models have tried: choose some with --models.
"""

import argparse
import signal
import sys

from ..peers import machine
from ..peers.__main__ import Progress
from ..peers.measure import installed
from . import chart, report, tables
from .measure import measure
from .records import Records
from .registry import MODELS, model
from .summary import summarize


def arguments(argv=None):
    about, _, details = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=about,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="of parquet files")
    add = parser.add_argument
    add("--models", metavar="LIST", help="some of " + ",".join(MODELS))
    add("--tables", metavar="LIST", help="default: all of the folder")
    add("--splits", type=int, default=3, help="for each table (default 3)")
    add("--max-rows", type=int, default=8000, help="to train on (default 8000)")
    add("--threads", type=int, default=1, help="default 1")
    add("--timeout", type=float, default=1800, help="seconds for one fit")
    add("--retry", action="store_true", help="repeat the fits that have failed")
    add("--json", metavar="FILE", help="add all figures there, and go on from them")
    add("--from-json", metavar="FILE", help="measure nothing, take figures from there")
    add("--markdown", action="store_true", help="print the table for a README")
    add("--picture", metavar="FILE", help="draw rank against time, as SVG or PNG")
    options = parser.parse_args(argv)
    if bool(options.folder) == bool(options.from_json):
        parser.error("give a folder of parquet files, or --from-json FILE")
    for name in ("splits", "max_rows", "threads", "timeout"):
        if getattr(options, name) <= 0:
            word = name.replace("_", "-")
            parser.error(f"--{word} must be positive, got {getattr(options, name)}")
    options.chosen = options.models.split(",") if options.models else list(MODELS)
    try:
        options.registry = {name: model(name) for name in options.chosen}
        if options.folder:
            names = options.tables.split(",") if options.tables else None
            options.paths = tables.find(options.folder, names)
    except ValueError as error:
        parser.error(str(error))
    return options


def measured(options):
    """Measure as the command line says; returns records."""
    names, notes = installed(options.chosen, registry=options.registry)
    records = Records(options.json)
    if options.retry:
        for key in records.failed():
            del records.fits[key]
    records.begin(
        {
            "machine": machine.describe(peers=options.registry),
            "rows": options.max_rows,
            "threads": options.threads,
            "notes": notes,
        }
    )
    measure(
        records, options.paths, names, options.splits, options.max_rows,
        options.threads, options.timeout, Progress(),
    )  # fmt: skip
    return records


def main(argv=None):
    options = arguments(argv)
    # As Ctrl-C, which the shell keeps from what it runs in the background.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        records = Records(options.from_json) if options.from_json else measured(options)
        known = records.models()
        chosen = options.chosen if options.models else known
        summary = summarize(records, [name for name in chosen if name in known])
    except KeyboardInterrupt:
        kept = f"; {options.json} has what is done, the same command goes on"
        print(f"interrupted{kept if options.json else ''}", file=sys.stderr)
        return 130
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
    if options.picture:
        chart.save(summary, options.picture)
    write = report.markdown if options.markdown else report.terminal
    print(write(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
