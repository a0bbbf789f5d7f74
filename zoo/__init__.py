"""The MNIST model zoo on PyTorch Lightning.

>>> import zoo
>>> model = zoo.load_pretrained("dropout_batchnorm")  # a trained network, in eval mode
>>> zoo.list_models()  # what there is
"""

# `python -m zoo` runs this file while the current folder is on sys.path. It therefore imports nothing of others.
from zoo.version import __version__ as __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zoo import data as data
    from zoo import figures as figures
    from zoo import models as models
    from zoo.api.classification import PictureAnswer, classify
    from zoo.api.committee import create_committee
    from zoo.api.comparison import NetworkComparison, compare
    from zoo.api.runs import TrainingRun, fit
    from zoo.data import MNISTDataModule
    from zoo.data.preprocessing import preprocess
    from zoo.pretrained.loading import create_model, load_pretrained
    from zoo.pretrained.registry import list_models, model_info
    from zoo.utils.errors import UsageError

__all__ = [
    "MNISTDataModule",
    "NetworkComparison",
    "PictureAnswer",
    "TrainingRun",
    "UsageError",
    "classify",
    "compare",
    "create_committee",
    "create_model",
    "fit",
    "list_models",
    "load_pretrained",
    "model_info",
    "preprocess",
]

_HOMES = {
    "MNISTDataModule": "zoo.data",
    "NetworkComparison": "zoo.api.comparison",
    "PictureAnswer": "zoo.api.classification",
    "TrainingRun": "zoo.api.runs",
    "UsageError": "zoo.utils.errors",
    "classify": "zoo.api.classification",
    "compare": "zoo.api.comparison",
    "create_committee": "zoo.api.committee",
    "create_model": "zoo.pretrained.loading",
    "fit": "zoo.api.runs",
    "list_models": "zoo.pretrained.registry",
    "load_pretrained": "zoo.pretrained.loading",
    "model_info": "zoo.pretrained.registry",
    "preprocess": "zoo.data.preprocessing",
}


def __getattr__(name: str) -> "Any":
    # PEP 562: torch and Lightning take seconds to import, so nothing is imported before it is asked for.
    import importlib

    if name in ("data", "figures", "models"):
        return importlib.import_module(f"zoo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
