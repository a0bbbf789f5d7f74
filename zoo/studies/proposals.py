"""Settings that Optuna samples: at random, or by what earlier trials of the study have shown."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.studies.plan import Proposal
from zoo.studies.settings import Choices, Range, SearchSpace, Value
from zoo.studies.trial import Trial
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.wording import install_extra

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SAMPLERS = ("tpe", "random")
"""Tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011), which
samples ten trials at random before, and random search."""
JOURNAL = "optuna.log"
"""The file in a study's folder in which Optuna records the trials. All workers append to it."""
_NUMBER = "zoo_number"


def import_optuna() -> ModuleType:
    """Import Optuna, and let it print nothing but errors.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError(f"Sampling needs {error.name}: {install_extra('studies')}.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class SampledSettings:
    """A study's plan that samples settings; a `zoo.studies.plan.Plan`.

    A sample is a function of the seed, the trial's number and, except in random search, of the trials so far. A study
    that is made by one trial at a time is therefore the same each time, also if it was interrupted.

    Args:
        folder: The folder of the study, which exists.
        space: The settings to sample.
        trials: How many trials there are.
        sampler: One of `SAMPLERS`.
        seed: The seed of the samples. Every trial is trained with it too: settings are compared on the same batches.
        pruning: Whether to stop a trial early when its lowest validation loss so far is more than the median of the
            finished trials' losses after the same epoch. The first five finished trials are not judged.

    Raises:
        UsageError: There is no such sampler, or Optuna is not installed.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        trials: int,
        sampler: str = "tpe",
        seed: int = 0,
        pruning: bool = True,
    ) -> None:
        if sampler not in SAMPLERS:
            raise unknown_name("sampler", sampler, SAMPLERS)
        import_optuna()
        self._journal = folder / JOURNAL
        self._space = space
        self._trials = trials
        self._sampler = sampler
        self._seed = seed
        self._pruning = pruning
        self._opened: tuple[int, Study] | None = None
        self._lock = threading.RLock()

    @property
    def trials(self) -> int:
        """How many trials there are."""
        return self._trials

    def propose(self, number: int) -> Proposal:
        """Return the settings of a trial: new ones, or those that were proposed for its number before.

        Args:
            number: The trial's number, which the caller has claimed.

        Raises:
            UsageError: The journal cannot be read or written.
        """
        with self._study() as study:
            study.sampler = self._make_sampler(number)
            if known := self._find(study, number):
                trial = import_optuna().trial.Trial(study, known._trial_id)
            else:
                trial = study.ask()
                trial.set_user_attr(_NUMBER, number)
            # What was stored before a worker was killed is not sampled again.
            settings = {name: _suggest(trial, name, values) for name, values in self._space.settings.items()}
            return Proposal(self._seed, settings, trial.number)

    def report(self, number: int, epoch: int, val_loss: float) -> bool:
        """Record the validation loss after an epoch, and return whether to stop the trial early.

        Args:
            number: The trial's number.
            epoch: The epoch, from 0. One that was recorded before is not recorded again.
            val_loss: The loss. One that is not a number is worse than any.

        Raises:
            UsageError: The journal cannot be read or written.
        """
        if not self._pruning:
            return False
        with self._study() as study:
            known = self._find(study, number)
            if known is None or known.state.is_finished():
                return False
            trial = import_optuna().trial.Trial(study, known._trial_id)
            if epoch not in known.intermediate_values:
                trial.report(val_loss, epoch)
            # A trial that was taken up again passes through epochs that it has survived before.
            return epoch >= (known.last_step or 0) and bool(trial.should_prune())

    def finish(self, trial: Trial) -> None:
        """Record how a trial has ended. A second call changes nothing.

        Args:
            trial: The trial. What is minimized is its `objective`.

        Raises:
            UsageError: The journal cannot be read or written.
        """
        states = import_optuna().trial.TrialState
        value = objective(trial)
        with self._study() as study:
            if known := self._find(study, trial.number):
                if value is not None:
                    study.tell(known.number, value, skip_if_finished=True)
                else:
                    state = states.PRUNED if trial.state == "pruned" else states.FAIL
                    study.tell(known.number, state=state, skip_if_finished=True)

    @contextmanager
    def _study(self) -> Iterator[Study]:
        """Yield Optuna's study. It is opened once in a process, because a fork must not pass for its parent."""
        from zoo.studies.optuna_journal import open_journal, reported

        with self._lock, reported(self._journal), warnings.catch_warnings():
            # Of arguments that were experimental before Optuna 5, of a lock that a killed worker has left, of losses
            # that are not numbers.
            warnings.simplefilter("ignore")
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), open_journal(self._journal)
            yield self._opened[1]

    @staticmethod
    def _find(study: Study, number: int) -> FrozenTrial | None:
        """Return Optuna's trial of a number, or None."""
        trials = study.get_trials(deepcopy=False)
        return next((trial for trial in trials if trial.user_attrs.get(_NUMBER) == number), None)

    def _make_sampler(self, number: int) -> BaseSampler:
        # Anew for each number: the generator of one for all would begin again in every process.
        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        samplers = import_optuna().samplers
        if self._sampler == "random":
            return samplers.RandomSampler(seed=seed)  # type: ignore[no-any-return]
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)  # type: ignore[no-any-return]


def objective(trial: Trial) -> float | None:
    """Return what a study of settings minimizes: the validation loss, if the trial has finished and it is finite."""
    value = trial.val_loss if trial.state == "finished" else None
    return value if value is not None and math.isfinite(value) else None


def distribution(values: Choices | Range) -> BaseDistribution:
    """Return Optuna's distribution of a setting."""
    kinds = import_optuna().distributions
    made: Any
    if isinstance(values, Choices):
        made = kinds.CategoricalDistribution(values.values)
    elif values.whole:
        made = kinds.IntDistribution(int(values.low), int(values.high), log=values.log)
    else:
        made = kinds.FloatDistribution(values.low, values.high, log=values.log)
    return made  # type: ignore[no-any-return]


def _suggest(trial: Any, name: str, values: Choices | Range) -> Value:
    if isinstance(values, Choices):
        value: Value = trial.suggest_categorical(name, values.values)
    elif values.whole:
        value = trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
    else:
        value = trial.suggest_float(name, values.low, values.high, log=values.log)
    return value
