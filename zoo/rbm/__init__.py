"""Restricted Boltzmann machines: the distribution, contrastive divergence and likelihood."""
