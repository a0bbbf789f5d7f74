"""A page to draw on, where every network answers at once."""
