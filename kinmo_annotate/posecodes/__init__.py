"""Measure, select and aggregate, word: one pose caption per distinct signature."""
