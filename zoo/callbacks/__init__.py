"""Lightning callbacks; ``zoo.cli.lightning_cli`` adds those of every run, and a config any other."""
