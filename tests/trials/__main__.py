"""Run the trials with all their rounds: ``python -m tests.trials [-k kills] [...]``."""

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("NNFIT_TRIALS", "1")
sys.exit(pytest.main([str(Path(__file__).parent), *sys.argv[1:]]))
