"""What is wrong with a fitted network: `nnfit.diagnose`, and what it looks at."""
