"""Trials: hostile surroundings, many times over, for processes that use nnfit.

A trial counts how often something goes well that must not go wrong once, in processes
of its own (`workers`), and prints a line of figures. `pytest -m slow` runs all of them
with a few rounds; ``python -m tests.trials`` with as many as the documentation's page
on trust promises. `NNFIT_TRIALS` is the share of these rounds, 0 for the fewest, and
`NNFIT_TRIALS_SEED` the seed of all that is drawn.
"""
