"""Benchmarks of nnfit: ``bench_*.py`` for asv, ``python -m benchmarks.peers`` beside
other libraries, ``python -m benchmarks.accuracy`` beside other models on tables."""

import os

# Settings that some hosts export for other software and that bind OpenBLAS, and so
# scikit-learn, to the kernels of an older processor. Everything is measured without
# them; this must happen before numpy is imported.
for _variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_variable, None)
