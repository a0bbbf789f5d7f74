"""A run's folder, its checkpoint files and the recipe recorded in them."""
