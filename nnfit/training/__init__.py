"""Epochs, validation, stopping, history: one training loop for every device."""
