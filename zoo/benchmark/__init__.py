"""Benchmarks: the training speed of members and of baselines."""
