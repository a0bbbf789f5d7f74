"""How much each setting of a study matters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from zoo.studies.proposals import distribution, import_optuna, objective
from zoo.studies.settings import SearchSpace
from zoo.studies.trial import Trial
from zoo.utils.errors import UsageError

LEAST_TRIALS = 20
"""Finished trials below which nothing is said."""
# A half finds the setting that matters in as few trials as fANOVA does. Optuna's default, a tenth, needs 100 of them.
_BEST = 0.5


def importances(trials: Sequence[Trial], space: SearchSpace) -> dict[str, float]:
    """Return how much each setting distinguishes the better half of the trials from all.

    This is PED-ANOVA: for each setting, the Pearson divergence of the density of the better half from that of all.
    Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces", IJCAI 2023.
    Pruned and failed trials have no result and do not count.

    Args:
        trials: The trials that have ended.
        space: Their settings.

    Returns:
        The shares of the settings, from the largest, with the sum 1. Empty if there are fewer than two settings with
        several values or `LEAST_TRIALS` finished trials, or if Optuna is not installed.
    """
    varied = {
        name: values for name, values in space.settings.items() if len({t.settings.get(name) for t in trials}) > 1
    }
    finished = [(trial, value) for trial in trials if (value := objective(trial)) is not None]
    if len(varied) < 2 or len(finished) < LEAST_TRIALS:
        return {}
    try:
        optuna = import_optuna()
    except UsageError:
        return {}
    distributions = {name: distribution(values) for name, values in varied.items()}
    study = optuna.create_study()
    for trial, value in finished:
        settings = {name: trial.settings[name] for name in varied}
        study.add_trial(optuna.trial.create_trial(params=settings, distributions=distributions, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was experimental before Optuna 5
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_BEST)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()} if all(map(math.isfinite, shares.values())) else {}
