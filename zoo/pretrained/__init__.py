"""The trained networks that ship: registry, loading, evaluation, verification, publishing."""
