"""The one training loop: config, checkpoints, progress, report."""
