"""Restricted Boltzmann machines: the distribution, contrastive divergence, likelihood."""
