"""Rows of a dataset as batches: features and token features memory-mapped, statistics, length buckets."""
