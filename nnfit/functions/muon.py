"""Constants of Muon's steps, for the kernels of every device."""

#: A step of Newton and Schulz makes of X: A X + X (B S + C S S), with S = X^T X.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
