"""A drawing of a network: its layers from left to right, branches one above the other, and skip connections."""

from __future__ import annotations

import html
from dataclasses import dataclass
from itertools import groupby

from torch import nn

from docs.site.charts import svg
from zoo.layers.blocks import ParallelBranches, ResidualBlock
from zoo.models import DBN, BaggedEnsemble, GenerativeDBN, RecurrentNet
from zoo.rbm.bernoulli_rbm import BernoulliRBM

WIDTH = 650
"""Of a row, if it has several parts."""
BOX, GAP, LINE = 96, 14, 15
"""Width of a box, distance of two boxes, and height of a line of text."""
MAIN = (nn.Linear, nn.Conv2d, nn.LSTM, BernoulliRBM)
"""Layers that begin a box. What follows them, such as an activation, is in the same box."""


@dataclass(frozen=True)
class Drawing:
    """A part of the drawing, with the point (0, 0) where its connection enters.

    Args:
        width: Its width.
        above: Its height above the connection.
        below: Its height below the connection.
        content: SVG elements.
    """

    width: float
    above: float
    below: float
    content: str


def draw_network(module: nn.Module) -> str:
    """Return the network of a member as SVG."""
    parts = [_box(["28 × 28", "pixels"]), *_parts_of(module)]
    rows: list[list[Drawing]] = [[]]
    width = 0.0
    for part in parts:  # long networks take several rows
        if rows[-1] and width + part.width > WIDTH:
            rows.append([])
            width = 0.0
        rows[-1].append(part)
        width += part.width + GAP
    drawn = [_in_series(row) for row in rows]
    y, content = 10.0, []
    for number, row in enumerate(drawn):
        y += row.above
        content.append(f'<g transform="translate(10 {y:g})">{row.content}</g>')
        if number < len(drawn) - 1:
            content.append(f'<text x="{row.width + 16:g}" y="{y + 5:g}" font-size="16">↩</text>')
        y += row.below + GAP
    drawing = svg(max(row.width for row in drawn) + 36, y, "The layers of the network", content)
    return f'<div class="zoo-wide" tabindex="0" role="region" aria-label="The network">{drawing}</div>'


def _parts_of(module: nn.Module) -> list[Drawing]:
    """Return the parts of a member's network in series."""
    if isinstance(module, BaggedEnsemble):
        arguments = module.hparams["member_args"]
        sizes = [*arguments.get("hidden_sizes", []), 10]
        count = int(module.hparams["num_members"])
        branch = _in_series([_box([f"linear {size}", "ReLU"] if size != 10 else ["linear 10"]) for size in sizes])
        return [_stacked([branch] * count, "mean of the probabilities")]
    if isinstance(module, DBN):
        sizes = [*module.hparams["hidden_sizes"]]
        hidden = [_box([f"linear {size}", "sigmoid", "dropout"]) for size in sizes]
        return [*hidden, _box(["linear 10"])]
    if isinstance(module, GenerativeDBN):
        *below, top = module.hparams["hidden_sizes"]
        features = [_box([f"RBM, {size}", "probabilities"]) for size in below]
        return [*features, _box([f"RBM, {top}", "and the label"]), _box(["− free energy", "of each label"])]
    if isinstance(module, RecurrentNet):
        units = module.recurrent.hidden_size
        return [
            _box(["28 rows", "of 28 pixels"]),
            _box([f"{type(module.recurrent).__name__} {units}", "28 steps", "dropout"]),
            _box(["linear 10"]),
        ]
    net = module.net
    assert isinstance(net, nn.Sequential)
    return _layers(list(net))


def _layers(layers: list[nn.Module]) -> list[Drawing]:
    """Return the boxes of layers in series."""
    flat: list[nn.Module] = []
    for layer in layers:
        flat += [*_flattened(layer)]
    parts: list[Drawing] = []
    lines: list[str] = []
    for layer in flat:
        if isinstance(layer, ResidualBlock):
            parts += _closed(lines)
            parts.append(_residual(layer))
        elif isinstance(layer, ParallelBranches):
            parts += _closed(lines)
            parts.append(_stacked([_in_series(_layers([branch])) for branch in layer.branches], "side by side"))
        elif name := _name(layer):
            if isinstance(layer, MAIN):
                parts += _closed(lines)
            lines.append(name)
    return [*parts, *_closed(lines)]


def _flattened(layer: nn.Module) -> list[nn.Module]:
    if isinstance(layer, nn.Sequential):
        return [inner for child in layer for inner in _flattened(child)]
    return [layer]


def _closed(lines: list[str]) -> list[Drawing]:
    """Return a box of the lines, if there are any, and empty the list."""
    if not lines:
        return []
    counted = [(line, len(list(same))) for line, same in groupby(lines)]
    lines.clear()
    return [_box([line if count == 1 else f"{count} × {line}" for line, count in counted])]


def _name(layer: nn.Module) -> str:
    """Return what a box says of a layer; empty for one that only changes the shape."""
    if isinstance(layer, nn.Linear):
        return f"linear {layer.out_features}"
    if isinstance(layer, nn.Conv2d):
        size, stride = layer.kernel_size[0], layer.stride[0]
        return f"conv {size}×{size}, {layer.out_channels}" + (f"|stride {stride}" if stride != 1 else "")
    if isinstance(layer, nn.Flatten | nn.Identity) or (isinstance(layer, nn.Dropout) and layer.p == 0):
        return ""
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return "batch norm"
    if isinstance(layer, nn.Dropout | nn.AlphaDropout):
        return f"{'alpha ' * isinstance(layer, nn.AlphaDropout)}dropout {layer.p:g}"
    if isinstance(layer, nn.MaxPool2d):
        return "max pool"
    if isinstance(layer, nn.AdaptiveAvgPool2d | nn.AvgPool2d):
        return "mean pool"
    return type(layer).__name__


def _box(lines: list[str]) -> Drawing:
    """Return a box with lines of text; ``|`` begins a new line."""
    lines = [part for line in lines for part in line.split("|")]
    half = (LINE * len(lines) + 12) / 2
    rectangle = f'<rect class="box" y="{-half:g}" width="{BOX}" height="{2 * half:g}" rx="5"/>'
    texts = [_text(BOX / 2, -half + 18 + LINE * number, line) for number, line in enumerate(lines)]
    return Drawing(BOX, half, half, rectangle + "".join(texts))


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="11" text-anchor="middle">{html.escape(text)}</text>'


def _in_series(parts: list[Drawing]) -> Drawing:
    content, x = [], 0.0
    for number, part in enumerate(parts):
        if number:
            content.append(f'<line class="line" x1="{x:g}" x2="{x + GAP:g}" y1="0" y2="0"/>')
            x += GAP
        content.append(f'<g transform="translate({x:g} 0)">{part.content}</g>')
        x += part.width
    return Drawing(x, max(part.above for part in parts), max(part.below for part in parts), "".join(content))


def _residual(block: ResidualBlock) -> Drawing:
    inner = _in_series(_layers([block.layers]))
    top = -inner.above - 12
    width = inner.width + 2 * GAP + 22
    skip = f'<path class="line" d="M{GAP / 2} 0V{top:g}H{width - GAP - 5:g}V-9"/>' if block.skip else ""
    plus = (
        f'<circle class="box" cx="{width - GAP - 5:g}" cy="0" r="9"/>'
        f'<text x="{width - GAP - 5:g}" y="4" font-size="12" text-anchor="middle">+</text>'
    )
    lines = (
        f'<line class="line" x1="0" x2="{GAP}" y1="0" y2="0"/>'
        f'<line class="line" x1="{GAP + inner.width:g}" x2="{width:g}" y1="0" y2="0"/>'
    )
    activation = _text(width - GAP - 5, 24, _name(block.activation))
    content = f'{lines}<g transform="translate({GAP} 0)">{inner.content}</g>{skip}{plus}{activation}'
    return Drawing(width, inner.above + 16, max(inner.below, 30), content)


def _stacked(branches: list[Drawing], caption: str) -> Drawing:
    width = max(branch.width for branch in branches) + 2 * GAP
    height = sum(branch.above + branch.below for branch in branches) + 8 * (len(branches) - 1)
    y, content, places = -height / 2, [], []
    for branch in branches:
        y += branch.above
        places.append(y)
        content.append(
            f'<path class="line" d="M0 {y:g}H{GAP}M{GAP + branch.width:g} {y:g}H{width:g}"/>'
            f'<g transform="translate({GAP} {y:g})">{branch.content}</g>'
        )
        y += branch.below + 8
    ends = f'<path class="line" d="M0 {places[0]:g}V{places[-1]:g}M{width:g} {places[0]:g}V{places[-1]:g}"/>'
    return Drawing(
        width, height / 2, height / 2 + 20, "".join(content) + ends + _text(width / 2, height / 2 + 16, caption)
    )
