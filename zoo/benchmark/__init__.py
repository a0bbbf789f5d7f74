"""How fast members are trained, beside what else one could write."""
