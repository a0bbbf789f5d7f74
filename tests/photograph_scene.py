"""A page with a digit, and what a camera sees of it: the drawing behind `tests.photographs`."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SCALE = 2
"""Pictures are drawn at this many times their size and averaged, for smooth edges."""

Range = tuple[float, float]
Color = tuple[float, float, float]
Array = NDArray[np.floating[Any]]
Drawing = Image.Image


@dataclass(frozen=True)
class Look:
    """The measures of a set of photographs. Lengths are in mm on the paper, brightnesses in [0, 1].

    Args:
        width: Width of what the photograph shows.
        height: Height of what the photograph shows.
        pixels_per_mm: Resolution of the photograph.
        digit: Height of the digit.
        offset: The digit's greatest distance from the middle, in each direction.
        rule_pitch: Distance between rules.
        grid_pitch: Distance between the lines of squared paper.
        line_width: Width of rules, grids and boxes.
        line_strength: Darkness of rules and grids; 1 is that of the ink.
        box_gap: Distance between the digit's bounding box and a box around it.
        circle_gap: Distance between the corners of the digit's bounding box and a circle around it.
        overhang: Length by which a line through the foot stands out on each side.
        desk: Width of the desk that is visible beside the paper.
        shadow: Light in the shadow.
        corners: Light in the corners of a vignette.
        finger: Length of the finger that is visible.
        rotation: Greatest rotation in degrees.
        perspective: Greatest relative change of size from one end of the picture to the other.
        noise: Standard deviation of the noise.
        papers: Colors of the paper.
        inks: Colors of the ink.
    """

    width: float = 80
    height: float = 100
    pixels_per_mm: int = 8
    digit: float = 20
    offset: float = 6
    rule_pitch: Range = (8, 8)
    grid_pitch: Range = (5, 5)
    line_width: Range = (0.25, 0.45)
    line_strength: Range = (1, 1)
    box_gap: Range = (0, 0)
    circle_gap: Range = (1, 4)
    overhang: Range = (4, 8)
    desk: Range = (5, 14)
    shadow: Range = (0.5, 0.5)
    corners: Range = (0.2, 0.2)
    finger: Range = (18, 28)
    rotation: float = 3
    perspective: float = 0.05
    noise: Range = (0.01, 0.025)
    papers: tuple[Color, ...] = ((0.93, 0.92, 0.89), (0.88, 0.89, 0.9), (0.95, 0.93, 0.84))
    inks: tuple[Color, ...] = ((0.1, 0.1, 0.12), (0.1, 0.13, 0.42), (0.2, 0.2, 0.22))


class Photograph:
    """A photograph in the making: a flat page with ink on it, then the light and the camera.

    Args:
        look: The measures.
        glyph: The digit as a mask. It is scaled to the digit's height.
        rng: Source of everything that varies.
    """

    def __init__(self, look: Look, glyph: Drawing, rng: random.Random) -> None:
        self.look, self.rng = look, rng
        self.unit = look.pixels_per_mm * SCALE
        self.size = (round(look.width * self.unit), round(look.height * self.unit))
        self.paper = np.array(rng.choice(look.papers))
        self.ink_color = np.array(rng.choice(look.inks))
        self.ink = Image.new("L", self.size, 0)
        self.lines = Image.new("L", self.size, 0)
        self.page = Image.new("L", self.size, 255)
        height = look.digit * self.unit
        glyph = glyph.resize((max(1, round(glyph.width * height / glyph.height)), round(height)))
        center = [side / 2 + rng.uniform(-look.offset, look.offset) * self.unit for side in self.size]
        left, top = round(center[0] - glyph.width / 2), round(center[1] - glyph.height / 2)
        self.ink.paste(glyph, (left, top))
        self.box = (left, top, left + glyph.width, top + glyph.height)
        self.pen = ImageDraw.Draw(self.ink)

    def within(self, limits: Range) -> float:
        """Return a random number within limits."""
        return self.rng.uniform(*limits)

    def line_width(self) -> int:
        """Return a random line width in pixels."""
        return max(1, round(self.within(self.look.line_width) * self.unit))

    def rule(self, pitch: Range, *, vertical: bool) -> None:
        """Draw rules over the whole page. Some of it is outside the picture, for the camera's rotation."""
        distance, width = self.within(pitch) * self.unit, self.line_width()
        draw = ImageDraw.Draw(self.lines)
        length = self.size[0] if vertical else self.size[1]
        position = self.rng.uniform(0, distance)
        while position < length:
            ends = [(position, 0), (position, self.size[1])] if vertical else [(0, position), (self.size[0], position)]
            draw.line(ends, fill=round(255 * self.within(self.look.line_strength)), width=width)
            position += distance

    def draw_box(self) -> None:
        """Draw a box around the digit, at least 0.6 times as wide as high."""
        left, top, right, bottom = self.box
        gap, width = self.within(self.look.box_gap) * self.unit, self.line_width()
        missing = max(0.0, 0.6 * (bottom - top) - (right - left)) / 2
        self.pen.rectangle(
            (left - gap - missing - width, top - gap - width, right + gap + missing + width, bottom + gap + width),
            outline=255,
            width=width,
        )

    def draw_circle(self, pen: float) -> None:
        """Draw a circle by hand around the digit's bounding box. ``pen`` is the width of the pen in pixels."""
        left, top, right, bottom = self.box
        radius = math.hypot(right - left, bottom - top) / 2 + self.within(self.look.circle_gap) * self.unit
        wide, phase, uneven = self.rng.uniform(0.85, 1), self.rng.uniform(0, 6), self.rng.uniform(0, 0.04)
        points = []
        for step in range(121):
            angle = phase + 2 * math.pi * step / 120
            length = radius * (1 + uneven * math.cos(2 * angle + phase))
            points.append(
                (
                    (left + right) / 2 + wide * length * math.cos(angle),
                    (top + bottom) / 2 + length * math.sin(angle),
                )
            )
        self.pen.line(points, fill=255, width=max(1, round(pen)), joint="curve")

    def cross_foot(self, pen: float) -> None:
        """Draw a line through the digit's foot. ``pen`` is the width of the pen in pixels."""
        left, top, right, bottom = self.box
        height = bottom - top
        level = bottom - self.rng.uniform(0.04, 0.12) * height
        rise = self.rng.uniform(-0.03, 0.03) * height
        ends = [
            (left - self.within(self.look.overhang) * self.unit, level + rise),
            (right + self.within(self.look.overhang) * self.unit, level - rise),
        ]
        self.pen.line(ends, fill=255, width=max(1, round(pen)))

    def lay_on_desk(self, sides: tuple[int, ...]) -> None:
        """Let the desk be visible on some sides: 0 is the left, 1 the top, 2 the right, 3 the bottom."""
        width, height = self.size
        edges = [0.0, 0.0, float(width), float(height)]
        for side in sides:
            edges[side] += (1 if side < 2 else -1) * self.within(self.look.desk) * self.unit
        self.page = Image.new("L", self.size, 0)
        ImageDraw.Draw(self.page).rectangle(edges, fill=255)

    def take(self, setting: str) -> Drawing:
        """Return the picture that the camera takes."""
        look, rng = self.look, self.rng
        warp = self._camera()
        ink, lines = (self._seen(layer, warp, 0) for layer in (self.ink, self.lines))
        on_desk = setting in ("desk", "edge")
        page = self._seen(self.page, warp, 0 if setting == "desk" else None)[..., None]
        height, width = ink.shape
        coverage = np.maximum(ink, lines)[..., None]
        colors = self.paper * (1 - coverage) + self.ink_color * coverage
        if on_desk:
            desk = float(self.ink_color.mean()) * rng.uniform(0.3, 0.7) * np.array([1.15, 1, 0.85])
            grain = 1 + 0.15 * np.sin(np.arange(height) * rng.uniform(0.05, 0.2))[:, None, None]
            colors = page * colors + (1 - page) * desk * grain
        if setting == "finger":
            colors = self._finger(colors)
        across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        angle = rng.uniform(0, 2 * math.pi)
        light = 1 + 0.12 * (across * math.cos(angle) + down * math.sin(angle))
        if setting == "shadow":
            light = light * self._shadow(width, height)
        elif setting == "vignette":
            light = light * (1 - (1 - self.within(look.corners)) * (across**2 + down**2) / 2)
        noise = np.random.default_rng(rng.randrange(2**32)).normal(0, self.within(look.noise), colors.shape)
        picture = Image.fromarray((255 * (colors * light[..., None] + noise).clip(0, 1)).astype(np.uint8))
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8)))

    def _camera(self) -> list[float]:
        """Return the coefficients of a random projection, from pixels of the picture to pixels of the page."""
        rng, (width, height) = self.rng, self.size
        angle = math.radians(rng.uniform(-self.look.rotation, self.look.rotation))
        tilts = [rng.uniform(-self.look.perspective, self.look.perspective) / side for side in self.size]
        cos, sin, x, y = math.cos(angle), math.sin(angle), width / 2, height / 2
        to_center = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [*tilts, 1]])
        matrix = np.linalg.inv(to_center) @ turn @ to_center
        return list((matrix / matrix[2, 2]).flatten()[:8])

    def _seen(self, layer: Drawing, warp: list[float], outside: int | None) -> Array:
        """Return a layer of the page as the camera sees it, in [0, 1]. Outside of it, edges go on if that is None."""
        margin = max(self.size) // 8
        padded = np.pad(
            np.asarray(layer), margin, mode="edge" if outside is None or layer is self.lines else "constant"
        )
        a, b, c, d, e, f, g, h = warp
        # The same projection onto the padded layer.
        moved = [a + margin * g, b + margin * h, c + margin, d + margin * g, e + margin * h, f + margin, g, h]
        seen = Image.fromarray(padded).transform(
            self.size, Image.Transform.PERSPECTIVE, moved, Image.Resampling.BILINEAR
        )
        return np.asarray(seen.reduce(SCALE), dtype=np.float64) / 255

    def _shadow(self, width: int, height: int) -> Array:
        """Return the light ``(H, W)`` around the edge of a shadow that falls across the digit."""
        left, top, right, bottom = (edge / SCALE for edge in self.box)
        angle = self.rng.uniform(0, 2 * math.pi)
        across, down = np.meshgrid(np.arange(width) - (left + right) / 2, np.arange(height) - (top + bottom) / 2)
        distance = across * math.cos(angle) + down * math.sin(angle)
        softness = self.rng.uniform(0.3, 1.5) * self.look.pixels_per_mm
        dark = self.within(self.look.shadow)
        light: Array = dark + (1 - dark) / (1 + np.exp(-(distance / softness).clip(-30, 30)))
        return light

    def _finger(self, colors: Array) -> Array:
        """Lay a finger over a corner of the picture."""
        height, width = colors.shape[:2]
        x, y = self.rng.choice(((0, 0), (width, 0), (0, height), (width, height)))
        length, radius = self.within(self.look.finger), self.rng.uniform(7, 9)
        length, radius = length * self.look.pixels_per_mm, radius * self.look.pixels_per_mm
        angle = math.atan2(height / 2 - y, width / 2 - x) + self.rng.uniform(-0.3, 0.3)
        across, down = np.meshgrid(np.arange(width) - x, np.arange(height) - y)
        along = (across * math.cos(angle) + down * math.sin(angle)).clip(None, length - radius)
        distance = np.hypot(across - along * math.cos(angle), down - along * math.sin(angle)) / radius
        skin = np.array(self.rng.choice(((0.85, 0.65, 0.55), (0.62, 0.42, 0.32), (0.4, 0.26, 0.2))))
        shaded = skin * (1 - 0.35 * distance.clip(0, 1) ** 2)[..., None]
        cover = ((1 - distance) * radius / 2).clip(0, 1)[..., None]
        return cover * shaded + (1 - cover) * colors
