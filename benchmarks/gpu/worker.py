"""One task in a process of its own, that a failed kernel or a hang ends alone.

``python -m benchmarks.gpu.worker TASK ARGUMENTS``, the arguments as JSON, prints as its
last line what the task returns.
"""

import json
import os
import sys

from . import checks, operations, times

TASKS = {
    **{
        name: getattr(checks, name)
        for name in (
            "feature", "activation", "loss", "solver", "bits", "estimator", "moving",
            "sanitized",
        )
    },
    **{
        name: getattr(times, name)
        for name in ("first_fit", "together", "searches")
    },
    "kernel_table": operations.kernel_table,
}  # fmt: skip


def main():
    task, arguments = sys.argv[1], json.loads(sys.argv[2])
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = TASKS[task](**arguments)
    print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
