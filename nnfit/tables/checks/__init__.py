"""What `check_table` looks for: each module yields findings of a few kinds."""
