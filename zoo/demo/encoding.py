"""Numbers as text that a page decodes quickly: base64 of bytes."""

from __future__ import annotations

import base64

from starlette.exceptions import HTTPException
from torch import Tensor, frombuffer, uint8

PIXELS = 28 * 28


def unsigned_bytes(values: Tensor) -> str:
    """Encode values in [0, 1] as bytes 0 to 255."""
    return base64.b64encode((values * 255).round().to(uint8).numpy().tobytes()).decode()


def signed_bytes(values: Tensor) -> tuple[str, float]:
    """Encode values as signed bytes −127 to 127, and return the absolute value that 127 stands for."""
    limit = max(float(values.abs().max()), 1e-12)
    return base64.b64encode((values / limit * 127).round().char().numpy().tobytes()).decode(), limit


def levels_of(content: bytes, count: int) -> Tensor:
    """Return the values in [0, 1], ``(count,)``, of as many bytes.

    Raises:
        HTTPException: The content has another length (400).
    """
    if len(content) != count:
        raise HTTPException(
            400, f"The body has {len(content)} bytes, but it must have {count}: the grey levels of 28×28 pixels."
        )
    return frombuffer(bytearray(content), dtype=uint8).float() / 255


def image_of(content: bytes) -> Tensor:
    """Return the image ``(1, 28, 28)`` in [0, 1] of 784 bytes, the grey levels row by row.

    Raises:
        HTTPException: The content has another length (400).
    """
    return levels_of(content, PIXELS).view(1, 28, 28)
