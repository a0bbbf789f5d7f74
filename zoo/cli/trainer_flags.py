"""The flags of the Trainer's verbs that are mostly used, with their help. It does not import torch."""

from __future__ import annotations

OF_THE_VERB = {
    "fit": {"ckpt_path FILE|last": "go on from a checkpoint; last: from the newest of this config and seed"},
    "validate": {"ckpt_path FILE|NAME": "the trained network: a checkpoint, or a member that ships trained"},
    "test": {"ckpt_path FILE|NAME": "the trained network: a checkpoint, or a member that ships trained"},
    "predict": {
        "ckpt_path FILE|NAME": "the trained network: a checkpoint, or a member that ships trained",
        "indices LIST": 'the rows of the test images that are printed and drawn, for example "[8, 11]"',
        "output_dir DIR": "where the table and the picture go",
    },
}
OF_THE_TRAINER = {
    "max_epochs N": "number of epochs",
    "accelerator NAME": "cpu, gpu, mps or auto (default: auto)",
    "devices N": "how many of them",
    "precision NAME": "32-true, bf16-mixed, 16-mixed or 64-true",
    "callbacks LIST": "EarlyStopping and others, each with its init_args",
    "logger LIST": "in place of TensorBoard and CSV; false for none",
    "default_root_dir DIR": "where the folder of the run is made, in place of logs",
}
