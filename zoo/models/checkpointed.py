"""The checkpoints of the zoo's LightningModules: safe to read, and under the names of an uncompiled network."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Self

from pytorch_lightning import LightningModule

from zoo.runs.checkpoint import CLASS_PATH, check_class, load_into, read_checkpoint
from zoo.utils.class_paths import class_path_of
from zoo.utils.compiled import with_compiler_names, without_compiler_names
from zoo.utils.errors import UsageError


class CheckpointedModule(LightningModule):
    """A LightningModule whose checkpoints say which class they belong to and are read without running code."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note which class the arguments belong to, so that no other one is ever made from them."""
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY][CLASS_PATH] = class_path_of(type(self))
        checkpoint["state_dict"] = without_compiler_names(checkpoint["state_dict"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Rename the weights, before Lightning loads them, to those of this network, which may be compiled."""
        checkpoint["state_dict"] = with_compiler_names(checkpoint["state_dict"], self.state_dict().keys())

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = "cpu",
        hparams_file: None = None,
        strict: bool = True,
        weights_only: bool = True,
        **arguments: Any,
    ) -> Self:
        """Return the network in a checkpoint of this class.

        Lightning's method, made safe: whatever its arguments, it reads local files only, never runs anything in
        them, loads every weight, and refuses a checkpoint of another class.

        Args:
            checkpoint_path: The file.
            map_location: The device for the network.
            hparams_file: Not used: the arguments are in the checkpoint.
            strict: Only True is accepted.
            weights_only: Only True is accepted.
            **arguments: Arguments that replace the checkpoint's.

        Raises:
            UsageError: The file is missing, damaged, unsafe or of another class or architecture.
        """
        checkpoint = read_checkpoint(checked_path(checkpoint_path, hparams_file, strict, weights_only))
        class_path = class_path_of(cls)
        check_class(checkpoint, (None, class_path), class_path)
        model = checkpoint.make(cls, **arguments)
        load_into(model, checkpoint)
        return model.to(map_location)


def checked_path(checkpoint_path: Any, hparams_file: Any, strict: bool, weights_only: bool) -> str | Path:
    """Return the path, and refuse arguments of Lightning's ``load_from_checkpoint`` that would load a part, or code.

    Raises:
        UsageError: One of them is not what `CheckpointedModule.load_from_checkpoint` accepts.
    """
    if not (strict and weights_only and hparams_file is None and isinstance(checkpoint_path, str | Path)):
        raise UsageError("A checkpoint is loaded from a file, whole and without code: strict, weights_only.")
    return checkpoint_path
