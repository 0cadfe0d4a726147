"""Words, no logic: one text per use; its head says what it is for, its fields and what it brings back."""
