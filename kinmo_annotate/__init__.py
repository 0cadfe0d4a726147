"""Motions to reviewed fine-grained text, as Parquet."""
