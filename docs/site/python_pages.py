"""The page on the Python functions and classes, whose text mkdocstrings takes from the docstrings."""

from __future__ import annotations

import zoo
from zoo import models

KOREAN = """# Python

함수와 클래스 설명은 영어로만 있습니다: <a href="../../reference/python.html">Python</a>.
"""


def python() -> str:
    """Return the page."""
    parts = ["# Python", "What `import zoo` offers, then the classes that a config names."]
    for name in sorted(zoo.__all__, key=lambda name: (name[0].isupper(), name)):
        heading = f"heading: zoo.{name}\n      toc_label: zoo.{name}"
        parts.append(
            f"::: {getattr(zoo, name).__module__}.{name}\n    options:\n      heading_level: 2\n      {heading}"
        )
    parts += ["## Networks", "`zoo.models` has the LightningModules."]
    for name in models.__all__:
        cls = getattr(models, name)
        parts.append(f"::: {cls.__module__}.{cls.__qualname__}\n    options:\n      members: false")
    return "\n\n".join(parts) + "\n"
