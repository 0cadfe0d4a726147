"""Words, no logic."""
