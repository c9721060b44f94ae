"""The cache on disk: names of what is kept, the folder with its trust, and turns."""
