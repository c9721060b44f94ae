"""Training and prediction on NVIDIA GPUs; imported only where one is asked for."""
