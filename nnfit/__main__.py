"""Command line of nnfit: ``python -m nnfit demo``, ``info``, ``tune`` or ``warmup``."""

import argparse
import sys

import nnfit


def main(arguments=None):
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "demo":
        from nnfit.demo import run_demo

        return run_demo(options.picture)
    try:
        if options.command == "warmup":
            nnfit.warmup(
                options.dtype,
                options.device,
                compute_capability=options.compute_capability,
            )
        elif options.command == "tune":
            from nnfit.tuning import tune

            tune()
        else:
            from nnfit.information import print_info

            print_info()
    except (OSError, RuntimeError, ValueError) as error:  # no cache, no such device
        print(f"python -m nnfit {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"python -m nnfit {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
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
    commands.add_parser(
        "info",
        help="print versions, processor, threads, cache and GPUs",
        description="Print what a report of a problem should contain: versions, the "
        "processor and what nnfit uses of it, threads, the cache of compiled kernels, "
        "and GPUs.",
    )
    commands.add_parser(
        "tune",
        help="choose by measurement how matrix products are cut into tiles",
        description="Measure products of layers with three heights of the tile that "
        "they are cut into, for some seconds, and keep the choice with the compiled "
        "kernels. It is that of this processor and of this version of nnfit. Kernels "
        "of products are compiled anew if it changes.",
    )
    warmup = commands.add_parser(
        "warmup",
        help="compile and cache all that a fit or a prediction can need",
        description="Compile all kernels for this machine into the cache, so that no "
        "later process compiles or imports numba: for images and clusters. The cache "
        "lies in $NUMBA_CACHE_DIR/nnfit, or in the user's cache folder.",
    )
    warmup.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        help="one precision only (default: both; on a GPU float32)",
    )
    warmup.add_argument(
        "--device",
        default="cpu",
        help="cpu, cuda or cuda:N; for a GPU, kernels of the estimators' default "
        "parameters (default: %(default)s)",
    )
    warmup.add_argument(
        "--compute-capability",
        metavar="M.N",
        help="of the GPU, such as 9.0, to compile on a machine without it",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
