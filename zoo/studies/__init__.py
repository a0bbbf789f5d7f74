"""Studies: many trainings of one recipe, on one machine or many."""
