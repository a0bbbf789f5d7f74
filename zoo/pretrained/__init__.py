"""The networks that ship: the registry, loading, evaluation, verification, publishing."""
