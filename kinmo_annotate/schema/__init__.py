"""The ground floor: skeleton, features, records, shards. Imports nothing of ours above it."""
