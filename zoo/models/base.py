"""The base class of all LightningModules of the zoo: training steps, safe checkpoints, printed summaries."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from pytorch_lightning import Callback
from pytorch_lightning.strategies import ParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.data.batches import images_of
from zoo.data.loader import BatchChunk, BatchLoader
from zoo.models.calibrated import check_not_calibrated
from zoo.models.checkpointed import CheckpointedModule
from zoo.models.requests import check_batch, check_callbacks, inputs_of
from zoo.training.chunk_checks import reason_against
from zoo.training.flush_denormals import FlushDenormals
from zoo.training.fused_update import make_update
from zoo.training.lightning_loop import place_averages, prepare_averages, show_steps
from zoo.training.multi_step import MultiStepTraining
from zoo.training.schedules import check_not_prolonged
from zoo.training.steps import AutogradStep, Batch, LossAndMetrics, Step
from zoo.utils.compiled import compile_forward_only
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError


class ZooModule(CheckpointedModule, ABC):
    """A LightningModule whose arguments are primitives and whose checkpoints say which class they belong to."""

    training_arguments: ClassVar[tuple[str, ...]] = ()
    """The arguments that say how it is trained and do not change what it computes."""

    input_shape: ClassVar[tuple[int, ...]] = (1, 28, 28)
    """Of an example in a batch."""

    needs_labels: ClassVar[bool] = True
    """Whether it is trained and evaluated with labels."""

    logged_metrics: ClassVar[frozenset[str]] = frozenset()
    """What it logs in training and validation; a subclass of a user's own may log more."""

    is_ending = False
    """Whether training is to stop after the current step, within a call of several steps too."""

    _entered: int | None = None
    _multi_step: MultiStepTraining | None = None

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch, from 0, says: logged names to what they are called, in this order."""
        return {}

    def stage_name(self, epoch: int) -> str:
        """What is trained in an epoch, from 0, where that changes in the course of a training; empty otherwise."""
        return ""

    def running_loss(self) -> float | None:
        """The loss so far in this epoch on this device, for the progress bar; None when there is none."""
        return None

    def unlabelled_epochs(self) -> int:
        """How many epochs at the beginning need no labels."""
        return 0

    def schedule_length(self) -> float:
        """How often a schedule of the learning rate moves until the end of the training; infinite if that is open."""
        return self.trainer.estimated_stepping_batches

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the loss of a batch, whose gradient the step follows, and what is measured of it.

        A function of the batch, the parameters and the random number generators alone: it is called for one batch
        after the other, and on a GPU it may be captured as a CUDA graph, so it neither logs nor counts. A subclass
        that overrides it is trained one step at a time.
        """
        raise NotImplementedError

    def count(self, measured: Mapping[str, Tensor]) -> None:
        """Add what K steps measured to the metrics of the epoch.

        Args:
            measured: What `step` measures, each value ``(K, …)``.
        """

    def make_step(self, optimizer: Optimizer) -> Step:
        """Return one optimization step as a function of its batch: by autograd, unless overridden."""
        return AutogradStep(self.step, optimizer, make_update(optimizer), self.on_before_optimizer_step)

    def step_optimizer(self) -> Optimizer:
        """Return the optimizer of the current epoch."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        return optimizer

    def parts(self) -> Iterable[nn.Module]:
        """Return all parts of the network."""
        return self.modules()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch, or make the steps of a chunk and return their losses ``(K,)``."""
        if isinstance(batch, BatchChunk):
            assert self._multi_step is not None
            results = self._multi_step.run(batch)
            self.count(results)
            return results["loss"]
        loss, measured = self.step(batch)
        self.count({name: value.unsqueeze(0) for name, value in measured.items()})
        return loss

    def mean_over_processes(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        return self.trainer.strategy.reduce(tensor, reduce_op="mean")

    def training_images(self, limit: int | None = None, shuffled: bool = False) -> Iterator[Tensor]:
        """The training images, ``(B, 784)`` at a time, as the network wants them; none while nothing is trained."""
        loader: Any = self.trainer.train_dataloader
        if loader is None:
            return iter(())
        if not hasattr(loader, "dataset"):
            raise UsageError(
                f"{type(self).__name__} looks at all images before it is trained: give a DataLoader of them."
            )
        # As they are: how they are distorted depends on when one looks.
        dataset = getattr(loader.dataset, "unaugmented", loader.dataset)
        return (images.to(self.device, self.parameter_dtype) for images in images_of(dataset, limit, shuffled=shuffled))

    def trained_parameters(self) -> int:
        """How many parameters the training changes."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @property
    def parameter_dtype(self) -> torch.dtype:
        """What the parameters are made of: single precision, unless ``trainer.precision`` says otherwise."""
        return next(self.parameters()).dtype

    @property
    def may_fuse_steps(self) -> bool:
        """Whether an optimizer may make its step in one pass: on processors and CUDA, and not in ``16-mixed``.

        There the scaler may leave out the first step, after which torch's fused SGD has a momentum of unset memory,
        and Lightning clips no gradients of a fused optimizer.
        """
        scaled = self._trainer is not None and self.trainer.precision == "16-mixed"
        return self.device.type in ("cpu", "cuda") and not scaled

    def backward_by_hand(self, loss: Tensor, optimizer: Optimizer) -> None:
        """Give the parameters that a loss depends on the mean of their gradients over all processes.

        For modules with ``automatic_optimization`` off whose steps train some parameters only:
        DistributedDataParallel expects a gradient of every parameter in every step, and switching parameters off and
        on lets the processes drift apart without a word.
        """
        strategy = self.trainer.strategy
        block = strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else contextlib.nullcontext()
        with block:
            self.manual_backward(loss)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.copy_(self.mean_over_processes(parameter.grad))

    def process_state(self) -> dict[str, Tensor]:
        """What this process alone has and a training needs to go on exactly."""
        return {}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Take up what all processes had, of which there may have been another number than now."""

    @abstractmethod
    def test_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Say in a line what was measured on the test images; None when nothing was."""

    @abstractmethod
    def validation_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Say in a line what was measured on the validation images; None when nothing was."""

    def enter_epoch(self) -> None:
        """Set what the current epoch is trained with; called before its first step in this process.

        A training that goes on from a checkpoint of an epoch's last step, or from within an epoch, begins without
        Lightning's announcement of the epoch; so everything here must be a function of the epoch and may be done twice.
        """

    def on_train_epoch_start(self) -> None:
        """Enter the epoch."""
        if self._multi_step is not None:
            self._multi_step.attach_loader()
        self._enter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Enter the epoch where nothing has announced it."""
        if batch_idx == 0:
            check_batch(self, batch.first() if isinstance(batch, BatchChunk) else batch, labelled=self.needs_labels)
        self._enter()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Let a progress bar of Lightning's show all steps of a chunk."""
        if isinstance(batch, BatchChunk):
            show_steps(self.trainer)

    def on_test_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Refuse data that is not for this network."""
        if batch_idx == 0:
            check_batch(self, batch, labelled=self.needs_labels)

    def on_validation_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Refuse data that is not for this network."""
        self.on_test_batch_start(batch, batch_idx)

    def on_predict_batch_start(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Refuse data that is not for this network; labels are not needed."""
        if batch_idx == 0:
            check_batch(self, batch, labelled=False)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the outputs of a batch ``(inputs, …)``, or of inputs alone."""
        outputs: Tensor = self(inputs_of(batch))
        return outputs

    def _enter(self) -> None:
        if self._entered != self.current_epoch:
            self._entered = self.current_epoch
            self.enter_epoch()

    def setup(self, stage: str) -> None:
        """Prepare averages of the weights that callbacks keep."""
        if stage == "fit":
            prepare_averages(self.trainer)

    def on_train_start(self) -> None:
        """Refuse what would train something else than was asked for."""
        self._entered = None
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            check_not_prolonged(scheduler, self.schedule_length)
        withheld = getattr(getattr(self.trainer, "datamodule", None), "unlabelled_epochs", 0)
        if withheld not in (0, self.unlabelled_epochs()):
            raise UsageError(
                f"The data withholds the labels for {withheld} epochs, but this {type(self).__name__} needs none for "
                f"{self.unlabelled_epochs()}: set data.unlabelled_epochs to that."
            )
        place_averages(self.trainer)
        self._choose_steps()

    def on_train_end(self) -> None:
        """Be an ordinary module again."""
        self._end_multi_step()

    def configure_callbacks(self) -> list[Callback]:
        """Flush denormals; called when a Trainer takes the module, whose last training may have broken off.

        Raises:
            UsageError: A callback needs parts that the network does not have, or the network is calibrated.
        """
        self._end_multi_step()
        compile_forward_only(self)
        trainer: Any = self.trainer
        if trainer.state.fn == TrainerFn.FITTING:
            check_not_calibrated(self)
        check_callbacks(self, trainer.callbacks)
        present = any(isinstance(callback, FlushDenormals) for callback in trainer.callbacks)
        return [] if present or trainer.state.fn != TrainerFn.FITTING else [FlushDenormals()]

    def _end_multi_step(self) -> None:
        if self._multi_step is not None:
            self._multi_step.close()
            self._multi_step = None

    def _choose_steps(self) -> None:
        """Choose how many steps are made in a call."""
        loader: Any = self.trainer.train_dataloader
        if isinstance(loader, BatchLoader):
            loader.chunk_length = None  # where another module's training with this loader broke off
        wanted = self.hparams.get("steps_per_call", 1)
        if wanted == 1:
            return
        author = next(each for each in type(self).__mro__ if "step" in vars(each))
        reason = reason_against(self, author)
        if reason is None:
            self._multi_step = MultiStepTraining(self, lambda: self.is_ending, wanted)
        elif wanted is not None or self.device.type == "cuda":
            print_rank_zero(f"steps_per_call is 1 here, because {reason}.")
