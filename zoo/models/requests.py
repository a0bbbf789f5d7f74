"""What other people's programs ask of a network that it cannot do: sentences before the first step."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import BackboneFinetuning, ModelPruning, WeightAveraging
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from zoo.utils.errors import UsageError
from zoo.utils.wording import with_article


def check_callbacks(module: LightningModule, callbacks: list[Any]) -> None:
    """Refuse callbacks that need parts that a network does not have, or that do not go with its settings.

    Raises:
        UsageError: There is such a callback.
    """
    name = type(module).__name__
    is_training = module.trainer.state.fn == TrainerFn.FITTING
    for callback in callbacks:
        if isinstance(callback, BackboneFinetuning) and not isinstance(getattr(module, "backbone", None), nn.Module):
            raise UsageError(
                f"BackboneFinetuning needs a network with a part named backbone, and {with_article(name)} has none: "
                "write a callback derived from BaseFinetuning that names the layers to freeze."
            )
        if isinstance(callback, ModelPruning) and not _can_be_pruned(module):
            raise UsageError(
                f"ModelPruning needs layers of torch.nn that are called one by one, and {with_article(name)} is not "
                "made of them: leave the callback out."
            )
        if is_training and isinstance(callback, WeightAveraging) and module.hparams.get("refit_batch_norm"):
            raise UsageError(
                f"refit_batch_norm refits batch norm for the weights of the last step, and {type(callback).__name__} "
                "saves an average of weights: leave one of them out."
            )


def _can_be_pruned(module: LightningModule) -> bool:
    """Return whether the weights are those of layers whose ``forward`` is called, before which pruning masks them."""
    return not any(
        isinstance(part, nn.ParameterDict) or type(part).__module__.startswith("zoo.rbm.") for part in module.modules()
    )


def inputs_of(batch: Any) -> Tensor:
    """Return the inputs of a batch: a tensor itself, or the first of several.

    Raises:
        UsageError: The batch has another form.
    """
    inputs = batch if isinstance(batch, Tensor) else batch[0] if isinstance(batch, tuple | list) and batch else None
    if not isinstance(inputs, Tensor):
        raise UsageError(
            f"A batch of this data is {with_article(type(batch).__name__)} and not (images, labels): let its data set "
            "return pairs of tensors."
        )
    return inputs


def check_batch(module: Any, batch: Any, *, labelled: bool) -> None:
    """Refuse a batch that is not for this network.

    Args:
        module: A `ZooModule`.
        batch: A batch of its Trainer's data.
        labelled: Whether the batch needs labels.

    Raises:
        UsageError: The inputs have another shape, are no real numbers, or labels are missing.
    """
    inputs, name = inputs_of(batch), type(module).__name__
    if tuple(inputs.shape[1:]) != module.input_shape:
        raise UsageError(
            f"An example of this data has the shape {tuple(inputs.shape[1:])}, but {name} takes "
            f"{module.input_shape}: choose data that belongs to it."
        )
    if not inputs.is_floating_point():
        raise UsageError(
            f"The inputs of this data are of the type {inputs.dtype}, but {name} takes real numbers, in [0, 1] for "
            "images: convert them, for example with images.float() / 255."
        )
    if labelled and (isinstance(batch, Tensor) or len(batch) < 2):
        raise UsageError(f"A batch of this data has no labels, but {name} needs (images, labels): add them.")
