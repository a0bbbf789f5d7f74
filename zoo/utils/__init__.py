"""General utilities: errors, argument checks, files, console output."""
