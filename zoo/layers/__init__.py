"""Building blocks of the networks: layers, activations and initializers."""
