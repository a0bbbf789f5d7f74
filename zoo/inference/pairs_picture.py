"""The picture of all pairs of compared networks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure

from zoo.inference.comparison import Comparison, contingency_table
from zoo.metrics.recipe_comparison import holm


def draw_pairs(comparison: Comparison, significance_level: float = 0.05) -> Figure:
    """Draw how many more errors the network of a row makes than that of a column.

    Pairs whose difference may well be chance are grey: by McNemar's exact test, with the p-values of all pairs
    corrected by Holm's method.

    Args:
        comparison: The networks.
        significance_level: A difference with a larger p-value may be chance.
    """
    errors = {name: int((~comparison.correct(name)).sum()) for name in comparison.predictions}
    names = sorted(errors, key=lambda name: (errors[name], name))
    pairs = list(combinations(range(len(names)), 2))
    tables = [contingency_table(*(comparison.correct(names[place]) for place in pair)) for pair in pairs]
    corrected = holm([table.p_value for table in tables])
    differences = np.full((len(names), len(names)), np.nan)
    figure = Figure(figsize=(2.6 + 0.52 * len(names), 1.9 + 0.46 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.88")
    for (first, second), p in zip(pairs, corrected, strict=True):
        for row, column in ((first, second), (second, first)):
            difference = errors[names[row]] - errors[names[column]]
            shade = np.sign(difference) * np.log10(1 + abs(difference)) if p <= significance_level else np.nan
            differences[row, column] = shade
            color = "white" if abs(shade) > 2 else "black"
            text = f"{difference:+,}".replace("-", "−")
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=color)
    axes.imshow(differences, cmap="PuOr_r", vmin=-3.5, vmax=3.5)
    labels = [f"{name}  {errors[name]:,}" for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    for place in range(len(names)):
        axes.text(place, place, "·", ha="center", va="center", color="0.5")
    axes.set_title(
        f"How many more errors the row's network makes than the column's\n"
        f"grey: may well be chance (McNemar's test, {len(pairs)} pairs, Holm)",
        fontsize=9,
    )
    return figure
