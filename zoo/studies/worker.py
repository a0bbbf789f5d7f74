"""A worker: claims trials of a study, trains them in processes of their own, and stores their results."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from zoo.studies.claims import DEFAULT_LEASE, Claim, Claims
from zoo.studies.plan import Plan, Proposal
from zoo.studies.resuming import take_over
from zoo.studies.storage import Storage
from zoo.studies.training import Recipe, Training, remove_checkpoints
from zoo.studies.trial import Trial
from zoo.utils.errors import UsageError

POLL = 0.1
"""Seconds between two looks at the processes of this machine."""
SLOW_POLL = 2.0
"""Seconds between two looks at the storage."""
GRACE = 60.0
"""Seconds that an interrupted training has to save its state."""


class Interrupted(Exception):
    """A signal ended the work on a study.

    Args:
        signal: The number of the signal.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@dataclass
class _Running:
    number: int
    claim: Claim
    proposal: Proposal
    training: Training
    reported: int = 0
    """The number of epochs whose validation loss the plan has."""
    is_pruned: bool = False
    looked_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Args:
        ended: The number of trials that have ended, in any way.
        failed: How many of them have failed.
        total: The number of trials.
        running: The number of trials that this worker trains.
        seconds_left: An estimate from the trials that have ended since this worker began; None without any.
    """

    ended: int
    failed: int
    total: int
    running: int
    seconds_left: float | None


class Worker:
    """A worker of a study.

    Args:
        storage: The study's folder, in which the study has begun.
        plan: The trials.
        recipe: What all trials have in common.
        jobs: How many trainings run at once, at least 1.
        lease: The seconds after which other workers take the trials of a worker that has vanished.
        keep_checkpoints: Whether to keep the checkpoints of trials whose metrics are stored.
        report: Called with each trial that this worker has ended, and with None when it begins to wait for others.
    """

    def __init__(
        self,
        storage: Storage,
        plan: Plan,
        recipe: Recipe,
        jobs: int,
        lease: float = DEFAULT_LEASE,
        keep_checkpoints: bool = False,
        report: Callable[[Trial | None, Progress], None] = lambda trial, progress: None,
    ) -> None:
        self.storage = storage
        self.plan = plan
        self.recipe = recipe
        self.jobs = jobs
        self.lease = lease
        self.keep_checkpoints = keep_checkpoints
        self._report = report
        self._running: dict[int, _Running] = {}
        self._signals: list[int] = []
        self._started = time.monotonic()
        self._ended_before = 0

    def run(self) -> list[Trial]:
        """Work until all trials have ended, those of other workers included.

        Returns:
            All trials that have ended.

        Raises:
            Interrupted: SIGINT or SIGTERM arrived. The trainings have saved their states and the claims are released.
            UsageError: The storage cannot be written to.
        """
        earlier = self.storage.results()
        for trial in earlier:
            self.plan.finish(trial)  # the worker that stored it may have been killed before it did this
        self._ended_before = sum(trial.number < self.plan.trials for trial in earlier)
        with Claims(self.storage.folder / "workers", self.lease) as claims, self._signals_noted():
            try:
                self._work(claims)
            except OSError as error:
                reason = error.strerror or error
                raise UsageError(
                    f"Cannot use {self.storage.folder}: {reason}; the same line goes on when that is mended."
                ) from error
            finally:
                self._stop()
        trials = self.storage.write_table()
        if self._signals:
            raise Interrupted(self._signals[0])
        return trials

    def _work(self, claims: Claims) -> None:
        """Train until all trials have ended or a signal arrived."""
        waiting, next_look = False, 0.0
        while not self._signals:
            for running in [running for running in self._running.values() if self._has_ended(running)]:
                self._end(claims, running)
                next_look = 0.0
            # A worker with a free place does not ask the storage all the time.
            if len(self._running) < self.jobs and time.monotonic() >= next_look:
                if self._claim(claims):
                    continue
                next_look = time.monotonic() + min(SLOW_POLL, self.lease / 4)
                if not self._running:
                    if all(self.storage.result(number) is not None for number in range(self.plan.trials)):
                        return
                    if not waiting:
                        self._report(None, self.progress())
                    waiting = True
            time.sleep(POLL)

    def progress(self) -> Progress:
        """Return how far the study is."""
        trials = [trial for trial in self.storage.results() if trial.number < self.plan.trials]
        ended_now = len(trials) - self._ended_before
        elapsed = time.monotonic() - self._started
        left = elapsed / ended_now * (self.plan.trials - len(trials)) if ended_now > 0 else None
        failed = sum(trial.state == "failed" for trial in trials)
        return Progress(len(trials), failed, self.plan.trials, len(self._running), left)

    def _claim(self, claims: Claims) -> bool:
        """Claim the first free trial and start its training; return whether there was one."""
        for number in range(self.plan.trials):
            if self._signals:
                return False
            if number in self._running or self.storage.result(number) is not None:
                continue
            folder = self.storage.trial_folder(number)
            claim = claims.take(folder)
            if claim is None:
                continue
            if self.storage.result(number) is not None:  # stored between the two looks
                claims.drop(claim)
                continue
            try:
                proposal = self.storage.proposal(number)
                if proposal is None:
                    proposal = self.storage.store_proposal(number, self.plan.propose(number))
                attempt, checkpoint = take_over(folder, claim.generation)
                training = Training(self.recipe, proposal, attempt, checkpoint)
            except BaseException:
                claims.release(claim)
                raise
            self._running[number] = _Running(number, claim, proposal, training)
            return True
        return False

    def _has_ended(self, running: _Running) -> bool:
        """Return whether nothing more is to come from a training, and end one that is pruned or lost."""
        if running.training.status() is not None:
            return True
        if running.claim.is_lost:
            running.training.kill()
            return True
        if time.monotonic() - running.looked_at >= min(SLOW_POLL, self.lease / 4):
            running.looked_at = time.monotonic()
            return self._is_pruned(running)
        return False

    def _is_pruned(self, running: _Running) -> bool:
        """Tell the plan of new epochs, and end the training if it says so."""
        for line in running.training.epochs()[running.reported :]:
            running.reported += 1
            if "val_loss" in line and self.plan.report(running.number, line["epoch"], line["val_loss"]):
                running.is_pruned = True
                running.training.kill()
                return True
        return False

    def _end(self, claims: Claims, running: _Running) -> None:
        """Store the result of a training, unless the trial is another worker's by now or was interrupted."""
        del self._running[running.number]
        claim, folder = running.claim, running.claim.folder
        if not claim.check():
            claims.drop(claim)
        elif running.training.was_interrupted():
            claims.release(claim)
        else:
            trial = running.training.trial(
                running.number, running.proposal, running.reported if running.is_pruned else None
            )
            stored = self.storage.store_result(trial)
            claims.drop(claim)
            if stored:
                self.plan.finish(trial)
                self.storage.write_table()
                self._report(trial, self.progress())
        if not self.keep_checkpoints and self.storage.result(running.number) is not None:
            remove_checkpoints(folder)

    def _stop(self) -> None:
        """Let the trainings save their states and end. A second signal ends them at once."""
        for running in self._running.values():
            running.training.interrupt()
        deadline, signals = time.monotonic() + GRACE, len(self._signals)
        while any(running.training.status() is None for running in self._running.values()):
            if time.monotonic() > deadline or len(self._signals) > max(signals, 1):
                for running in self._running.values():
                    running.training.kill()
            time.sleep(POLL)
        self._running.clear()

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM, and restore their handlers at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread receives signals
            return

        def note(number: int, frame: FrameType | None) -> None:
            self._signals.append(number)

        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
