"""The lecture's figures, drawn from real runs, one file each; `FIGURES` in `zoo.cli.verbs.figures` lists them."""
