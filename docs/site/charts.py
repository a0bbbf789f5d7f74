"""Small charts as SVG, in the colors of the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from zoo.pretrained.entries import Entry

WIDTH = 640
"""In the units of the drawings, of which a page shows as many pixels or fewer."""


def svg(width: float, height: float, title: str, content: Sequence[str]) -> str:
    """Return a drawing as a line of HTML, with a title for those who cannot see it."""
    return (
        f'<svg class="zoo-drawing" role="img" aria-label="{title}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" xmlns="http://www.w3.org/2000/svg"><title>{title}</title>'
        f"{''.join(content)}</svg>"
    )


def runs_chart(metrics: Entry) -> str:
    """Draw a dot for each run of a recipe, the interval of the mean and the published network."""
    errors = sorted(run["test_errors"] for run in metrics["runs"])
    bounds = metrics["errors_mean_ci95"] or [metrics["errors_mean"]] * 2
    low, high = min(*errors, metrics["test_errors"], *bounds), max(*errors, metrics["test_errors"], *bounds)
    step = _round_step((high - low) / 6)
    first, last = math.floor(low / step) * step, math.ceil(high / step) * step

    def x(value: float) -> float:
        return 30 + (value - first) / max(last - first, 1) * (WIDTH - 60)

    seen: Counter[int] = Counter()
    dots = []
    for value in errors:
        column = round(x(value) / 9)
        dots.append((x(value), seen[column]))
        seen[column] += 1
    base = 20 + 9 * max(seen.values())
    ticks = [first + step * number for number in range(round((last - first) / step) + 1)]
    content = [
        *(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="6" y2="{base + 14}"/>' for tick in ticks),
        *(
            f'<text x="{x(tick):.1f}" y="{base + 30}" font-size="12" text-anchor="middle">{tick:,g}</text>'
            for tick in ticks
        ),
        *(f'<circle class="run" cx="{place:.1f}" cy="{base - 8 - 9 * row}" r="4"/>' for place, row in dots),
        f'<line class="mean" x1="{x(bounds[0]):.1f}" x2="{x(bounds[1]):.1f}" y1="{base + 6}" y2="{base + 6}"/>',
        _diamond(x(metrics["test_errors"]), base - 8),
        f'<text x="{WIDTH / 2}" y="{base + 48}" font-size="12" text-anchor="middle">test errors: runs (dots), 95 % '
        "interval of their mean (bar), published network (diamond)</text>",
    ]
    return svg(WIDTH, base + 56, "Test errors of the runs", content)


def reliability_chart(bins: dict[str, list[list[float]]]) -> str:
    """Draw accuracy against probability, as predicted and calibrated.

    Args:
        bins: ``predicted`` and ``calibrated``: mean probability, accuracy and number of images of each bin.
    """
    size, gap = 240, 60
    content: list[str] = []
    for place, (name, rows) in enumerate(bins.items()):
        left = 40 + place * (size + gap)

        def x(value: float, left: float = left) -> float:
            return left + value * size

        def y(value: float) -> float:
            return 20 + (1 - value) * size

        content += [
            f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{y(0)}" y2="{y(1)}"/>'
            f'<line class="grid" x1="{x(0)}" x2="{x(1)}" y1="{y(tick)}" y2="{y(tick)}"/>'
            f'<text x="{x(tick)}" y="{y(0) + 16}" font-size="12" text-anchor="middle">{tick:g}</text>'
            f'<text x="{x(0) - 6}" y="{y(tick) + 4}" font-size="12" text-anchor="end">{tick:g}</text>'
            for tick in (0, 0.5, 1)
        ]
        content.append(f'<line class="line" stroke-dasharray="4 3" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>')
        content += [
            f'<circle class="run" cx="{x(probability):.1f}" cy="{y(accuracy):.1f}" '
            f'r="{2 + 14 * math.sqrt(count / 10_000):.1f}"/>'
            for probability, accuracy, count in rows
        ]
        content.append(f'<text x="{x(0.5)}" y="{y(0) + 36}" font-size="12" text-anchor="middle">{name}</text>')
    content.append('<text x="40" y="14" font-size="12">accuracy against probability</text>')
    return svg(80 + 2 * size + gap, size + 64, "Accuracy against probability", content)


def _diamond(x: float, y: float) -> str:
    return f'<path class="shipped" d="M{x:.1f} {y - 8}l8 8l-8 8l-8 -8z"/>'


def _round_step(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten that is at least a step, and at least 1."""
    power = 10.0 ** math.floor(math.log10(max(step, 1)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)
