"""``zoo.compare``: compare trained networks on the test images."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

from zoo.api.runs import TrainingRun, labels_of, source_of
from zoo.inference.comparison import Comparison, contingency_table
from zoo.inference.comparison import compare as compare_networks
from zoo.inference.pairs_picture import draw_pairs
from zoo.metrics.intervals import wilson_interval
from zoo.metrics.recipe_comparison import holm
from zoo.pretrained.registry import list_models
from zoo.utils.denormals import denormals_given_back, flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.picture import Picture
from zoo.utils.table import Table


class NetworkComparison:
    """Trained networks, compared on the 10,000 official test images.

    Args:
        comparison: Their predictions.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    @property
    def table(self) -> Table:
        """The test errors of each network and of all as a committee, with Wilson's 95 % interval of the accuracy."""
        comparison = self._comparison
        rows: list[dict[str, str | int | float | None]] = []
        committee = {"mean probability of all": comparison.mean, "vote of all": comparison.vote}
        for name, predicted in {**comparison.predictions, **committee}.items():
            errors, images = int((predicted != comparison.labels).sum()), len(comparison.labels)
            low, high = wilson_interval(errors, images)
            accuracies = {"accuracy": 1 - errors / images, "low": 1 - high / images, "high": 1 - low / images}
            rows.append({"network": name, "errors": errors, **accuracies})
        return Table(rows)

    @property
    def pairs(self) -> Table:
        """How many images only one of two networks gets right, and the p-value of McNemar's exact test.

        The p-values are corrected by Holm's method for the number of pairs.
        """
        pairs = list(combinations(self._comparison.predictions, 2))
        tables = [contingency_table(*map(self._comparison.correct, pair)) for pair in pairs]
        corrected = holm([table.p_value for table in tables])
        return Table(
            [
                {
                    **{"first": first, "second": second},
                    **{"only first right": table.only_first_correct, "only second right": table.only_second_correct},
                    "p": p,
                }
                for (first, second), table, p in zip(pairs, tables, corrected, strict=True)
            ]
        )

    @property
    def picture(self) -> Picture:
        """How many more errors each network makes than each other one."""
        return Picture.of_figure(draw_pairs(self._comparison), "The differences of all pairs")

    def __repr__(self) -> str:
        return f"{self.table!r}\n\n{self.pairs!r}"

    def _repr_html_(self) -> str:
        return self.table._repr_html_() + self.pairs._repr_html_()


def compare(*networks: str | Path | TrainingRun) -> NetworkComparison:
    """Compare trained networks on the 10,000 official test images, as ``zoo compare`` does.

    >>> zoo.compare("dropout", "dropout_batchnorm")

    Args:
        *networks: Two or more different members, paths of checkpoints, or runs of `zoo.fit`. None: all members that
            ship trained.

    Raises:
        UsageError: A network is given twice, is the only one, or cannot be loaded. It is a `ValueError`.
    """
    names = [source_of(network) for network in networks] or list_models(pretrained=True)
    if len(set(names)) < max(2, len(names)):
        raise UsageError("Name two different networks or more, or none for all members.")
    with denormals_given_back():
        flush_denormals()
        comparison = compare_networks(names)
    labels = labels_of(networks) or names
    predictions = dict(zip(labels, comparison.predictions.values(), strict=True))
    return NetworkComparison(replace(comparison, predictions=predictions))
