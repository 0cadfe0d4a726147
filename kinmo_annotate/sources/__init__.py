"""Where motions come from."""
