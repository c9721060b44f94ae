"""One task in a process of its own, that a failed kernel or a hang ends alone.

``python -m benchmarks.gpu.worker TASK ARGUMENTS``, the arguments as JSON, prints as its
last line what the task returns.
"""

import importlib
import json
import os
import sys

#: Tasks, and the modules that have them: asv imports this one, without the tests.
CHECKS = "tests.cuda.checks"
TASKS = {
    **dict.fromkeys(("feature", "activation", "loss", "solver"), CHECKS),
    **dict.fromkeys(("bits", "estimator", "moving", "sanitized"), CHECKS),
    **dict.fromkeys(("first_fit", "together", "searches"), "benchmarks.gpu.times"),
    "kernel_table": "benchmarks.gpu.operations",
}


def load_task(name):
    """The function of a task."""
    return getattr(importlib.import_module(TASKS[name]), name)


def main():
    task, arguments = sys.argv[1], json.loads(sys.argv[2])
    # What libraries print must not come between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    result = load_task(task)(**arguments)
    print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    main()
