"""Several optimization steps in one call of Lightning's loop, which costs more than a small network's step does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from zoo.data.batches import Batch, ImageBatches
from zoo.data.loader import BatchChunk, BatchLoader
from zoo.training.engines import make_engine, reason_against_capture
from zoo.training.lightning_loop import ChunkedLoop, mark_averaged, weight_averages
from zoo.training.steps import FetchBatches, Step, StepEngine, StepResult
from zoo.training.weight_averaging import AveragedStep

CHUNK_LENGTHS = {"cpu": 500, "cuda": 200}
"""Steps in a call at most, by the kind of device, where nothing says how many: so many that Lightning's share is
small."""
SECONDS = 0.25
"""How long a call takes on a CPU where nothing says how many steps it makes, so that the progress bar moves."""
FIRST_CHUNK_LENGTH = 10
"""Steps in the first such call, which measures how long they take."""


class MultiStepTraining:
    """Trains a module chunk by chunk.

    Args:
        module: What a Trainer is about to train: a LightningModule with ``make_step``, ``step_optimizer`` and
            ``stage_name``, as `zoo.models.base.ZooModule` has them.
        should_stop: Whether the training is to end after the step under way.
        limit: Steps in a call at most; None means `CHUNK_LENGTHS`, and on a CPU as many as `SECONDS` suffice for.
    """

    def __init__(self, module: Any, should_stop: Callable[[], bool], limit: int | None) -> None:
        self.module = module
        self.should_stop = should_stop
        self.most = limit or CHUNK_LENGTHS.get(module.device.type, 100)
        self.by_time = limit is None and module.device.type == "cpu"
        self.limit = min(self.most, FIRST_CHUNK_LENGTH) if self.by_time else self.most
        self.loop = ChunkedLoop(module)
        self.loader: BatchLoader | None = None
        self.engine: StepEngine | None = None
        self.engine_of: tuple[object, ...] = ()
        self.attach_loader()

    def attach_loader(self) -> None:
        """Let the Trainer's current loader give chunks."""
        if self.loader is not None:
            self.loader.chunk_length = None
        self.loader = self.module.trainer.train_dataloader
        assert self.loader is not None
        self.loader.chunk_length = lambda: self.loop.steps_until_next_event(self.limit)

    def run(self, chunk: BatchChunk) -> StepResult:
        """Make a step for each batch, or until the training is to end, and return what was measured."""
        assert self.loader is not None
        started = time.perf_counter()
        results = self._make_engine(chunk).run(chunk.rows)
        made = len(results["loss"])
        if self.by_time and made:
            seconds = time.perf_counter() - started
            self.limit = max(1, min(self.most, round(SECONDS * made / max(seconds, 1e-9))))
        self.loader.mark_unused(len(chunk) - made)
        self.loop.count(made)
        mark_averaged(self.module.trainer)
        return results

    def close(self) -> None:
        """Give the loader and the module back as they were."""
        if self.loader is not None:
            self.loader.chunk_length = None
        self.loop.close()

    def _make_engine(self, chunk: BatchChunk) -> StepEngine:
        module = self.module
        optimizer = module.step_optimizer()
        on_gpu = module.device.type == "cuda"
        reason = reason_against_capture(module, optimizer, chunk.dataset.images) if on_gpu else None
        trained = [[id(each) for each in group["params"]] for group in optimizer.param_groups]
        data = [part.data_ptr() for part in (chunk.dataset.images, chunk.dataset.labels)]
        key = (chunk.dataset, data, optimizer, trained, module.stage_name(module.current_epoch), reason)
        if on_gpu and self.engine is not None and self.engine_of == key:
            return self.engine  # it looks itself at what else a callback may have changed
        optimizer.zero_grad()  # of parameters that a callback has frozen since the last chunk, too
        self.engine = make_engine(
            module,
            self._fetch(chunk.dataset),
            self._make_step(optimizer),
            optimizer,
            self._move_schedule(),
            self.should_stop,
            chunk.dataset.images,
        )
        self.engine_of = key
        return self.engine

    def _make_step(self, optimizer: Optimizer) -> Step:
        step: Step = self.module.make_step(optimizer)
        for average in weight_averages(self.module.trainer):
            step = AveragedStep(step, self.module, average)
        return step

    def _fetch(self, dataset: ImageBatches) -> FetchBatches:
        device, dtype = self.module.device, next(self.module.parameters()).dtype

        def fetch(rows: Tensor) -> list[Batch]:
            batches = dataset.get_batches(rows)
            if batches[0][0].device == device and batches[0][0].dtype == dtype:
                return batches
            return [(images.to(device, dtype), *(each.to(device) for each in rest)) for images, *rest in batches]

        return fetch

    def _move_schedule(self) -> Callable[[], None]:
        scheduler = self.module.lr_schedulers()
        if scheduler is None or not self.loop.was_automatic:
            return lambda: None
        module = self.module  # not self, which holds the engine and would stay with it until garbage is collected
        return lambda: module.lr_scheduler_step(scheduler, None)
