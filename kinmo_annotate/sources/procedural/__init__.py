"""Demo motions with known truth."""
