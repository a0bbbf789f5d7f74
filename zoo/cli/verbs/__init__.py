"""One file per verb, named after it (the Trainer's four are in ``trainer.py``); `VERBS` in `zoo.cli` lists them."""
