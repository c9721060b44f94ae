"""For whoever imports it, more threads than the machine has processors."""

from nnfit.training import threads

#: What holds elsewhere.
most_threads = threads.most_threads

threads.most_threads = lambda: 64
