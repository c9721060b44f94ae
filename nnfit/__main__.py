"""Command line of nnfit: ``python -m nnfit demo``."""

import argparse
import sys

import nnfit


def main(arguments=None):
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m nnfit", description=nnfit.__doc__)
    parser.add_argument("--version", action="version", version=nnfit.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="train on scikit-learn's digits and compare with scikit-learn's own MLP",
        description="Train on scikit-learn's digits inside a pipeline, print accuracy "
        "and time beside scikit-learn's own MLPClassifier with the same parameters, "
        "and save a picture of both loss curves if matplotlib is installed.",
    )
    demo.add_argument(
        "--picture",
        default="nnfit-demo.png",
        metavar="FILE",
        help="where to save the loss curves (default: %(default)s)",
    )
    options = parser.parse_args(arguments)

    from nnfit.demo import run_demo

    return run_demo(options.picture)


if __name__ == "__main__":
    sys.exit(main())
