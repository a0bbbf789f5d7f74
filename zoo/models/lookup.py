"""Classifiers by name, for modules whose arguments name the class of another."""

from __future__ import annotations

from zoo.models.classifier import Classifier
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import unknown_name


def find_classifier(name: str, without: type[Classifier]) -> type[Classifier]:
    """Return a classifier by its name or path, without importing anything.

    A checkpoint's arguments come here too, and a file must not choose what is imported.

    Args:
        name: ``MLP``, ``zoo.models.MLP``, or the path of a class of one's own that has been imported.
        without: A class that is not meant.

    Raises:
        UsageError: There is none of that name among the classes that are there.
    """
    own: dict[str, type[Classifier]] = {}
    others: dict[str, type[Classifier]] = {}
    waiting = Classifier.__subclasses__()
    while waiting:
        cls = waiting.pop()
        waiting += cls.__subclasses__()
        path = class_path_of(cls)
        if cls is without:
            continue
        if path.startswith("zoo.models."):
            own |= {cls.__name__: cls, path: cls, f"zoo.models.{cls.__name__}": cls}
        else:
            others |= {cls.__name__: cls, path: cls}
    known = {**others, **own}  # no other class takes the name of one of the zoo's
    if name not in known:
        raise unknown_name("member class", name, [each for each in known if "." not in each])
    return known[name]
