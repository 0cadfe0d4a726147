"""The program kinmo: one file for each group of commands; nobody imports it."""
