"""The lecture's pictures, made from real runs."""
