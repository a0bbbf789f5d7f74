"""Trained networks at work: the committee, comparison, export."""
