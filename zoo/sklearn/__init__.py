"""Members of the zoo as scikit-learn estimators, which needs the extra `sklearn`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.sklearn.classifier import ZooClassifier

__all__ = ["ZooClassifier"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for, so that a missing scikit-learn is reported in a sentence.
    if name not in __all__:
        raise AttributeError(f"module 'zoo.sklearn' has no attribute {name!r}")
    try:
        from zoo.sklearn.classifier import ZooClassifier
    except ModuleNotFoundError as error:
        from zoo.utils.errors import UsageError
        from zoo.utils.wording import install_extra

        if (error.name or "").partition(".")[0] != "sklearn":
            raise
        raise UsageError(f"zoo.sklearn needs scikit-learn: {install_extra('sklearn')}.") from error
    return ZooClassifier
