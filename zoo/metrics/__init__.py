"""Metrics: error counts, accuracy, ensemble disagreement, confidence intervals."""
