"""Training runs: their checkpoints, folders, configs and records."""
