"""The lecture's figures, drawn from real runs, one file each. `zoo.figures.catalogue` lists them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zoo.figures.drawn import DrawnFigure, draw

__all__ = ["DrawnFigure", "draw"]


def __getattr__(name: str) -> object:
    # matplotlib and torch take seconds to import, so nothing is imported before it is asked for.
    if name not in __all__:
        raise AttributeError(f"module 'zoo.figures' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("zoo.figures.drawn"), name)
