"""nnfit beside other libraries, each at its best, in one run.

All train the same networks from the same weights on the same float32 data: Adam,
batches of shuffled rows, every row once an epoch, no penalty. Each runs in a process
of its own (`worker`), asked in turns (`measure`), so that what slows the machine for
a while slows all; what it is asked is written once per library (`adapters`).
"""
