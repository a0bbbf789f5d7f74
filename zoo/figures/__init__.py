"""The figures of the lecture, each drawn from real training runs."""
