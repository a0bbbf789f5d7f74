"""One file per verb of the command line, named after it."""
