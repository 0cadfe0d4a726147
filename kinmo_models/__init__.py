"""From Parquet to models; torch lives only here."""
