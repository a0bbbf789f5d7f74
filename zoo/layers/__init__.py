"""Building blocks that are no networks by themselves."""
