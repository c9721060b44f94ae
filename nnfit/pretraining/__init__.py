"""Learning from rows without labels: transformers whose networks others start from."""
