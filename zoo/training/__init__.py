"""How steps are made: step engines, optimizers, schedules. Nothing here knows a model."""
