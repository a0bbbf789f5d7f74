"""Inference with trained networks: the committee, the comparison of members, and export."""
