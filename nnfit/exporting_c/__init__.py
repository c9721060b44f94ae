"""Fitted networks as C99 source, which needs nothing but ``math.h``: `export_c`."""
