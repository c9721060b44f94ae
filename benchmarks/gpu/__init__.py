"""All that a GPU has to show, in one command: ``python -m benchmarks.gpu``.

What runs on the GPU runs in processes of its own (`worker`), since a kernel that fails
takes the context of its process with it, and one that hangs must be ended.
`tests.cuda.checks` compares with the CPU's engine, `peaks` and `operations` measure
kernels, `times` fits and many networks at once, `report` writes it all down.
"""
