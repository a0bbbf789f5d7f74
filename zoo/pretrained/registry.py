"""The members by name: a member is a config at the top of ``configs/``, and there is no other list.

Nothing here imports torch, so that listing the zoo takes no time.
"""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

from zoo.utils.errors import UsageError, unknown_name


class Run(TypedDict):
    """One training of a member's recipe."""

    seed: int
    test_errors: int
    val_accuracy: float | None
    seconds: float
    """Of training and validation together, as the machine was at the time."""


class Published(TypedDict):
    """What is said of every trained network that ships."""

    sha256: str
    bytes: int
    parameters: int
    """Those that were trained."""
    seed: int
    test_images: int
    command: str
    config: dict[str, Any]
    """The run's resolved config: seed, model and data with all arguments, the Trainer's settings."""
    versions: dict[str, str]
    machine: dict[str, Any]
    data_md5: dict[str, str]
    golden_rows: list[int]
    """Rows of ten test images, whose values below are the network's fingerprint."""
    licence: str
    papers: list[str]


class Entry(Published):
    """What ``checkpoints/index.json`` says of a member's trained network."""

    test_errors: int
    test_errors_ci95: list[float]
    """Wilson's 95 % score interval of the shipped network's errors (`zoo.metrics.intervals`)."""
    nll: float
    """Mean negative log-likelihood on the test images, in nats."""
    calibration_error: float
    """Expected calibration error on the test images, 15 bins (`zoo.evaluation.Evaluation`)."""
    val_accuracy: float | None
    """None when the recipe keeps no validation images."""
    runs: list[Run]
    """Every run of the recipe, by seed; the seeds are 0, 1, 2, … and none is left out."""
    errors_mean: float
    errors_sd: float | None
    """The sample standard deviation over the runs; None for a single one."""
    reproduction_interval: list[int]
    """Where one more run's errors should fall (`zoo.metrics.intervals.reproduction_interval`)."""
    images_per_second: float
    golden_logits: list[list[float]]


class LikelihoodFigures(TypedDict):
    """The figures of a `zoo.likelihood.Likelihood`, in nats: of the test images, their pixels sampled with seed 0."""

    log_likelihood: float
    log_likelihood_low: float
    log_likelihood_high: float
    log_partition: float
    log_partition_reverse: float
    effective_chains: float


class LikelihoodRun(LikelihoodFigures):
    """One training of an RBM's recipe."""

    seed: int
    seconds: float
    """Of training and validation together, as the machine was at the time."""


class LikelihoodEntry(Published, LikelihoodFigures):
    """What ``checkpoints/demonstrations.json`` says of a trained RBM: the figures are those of the one that ships."""

    runs: list[LikelihoodRun]
    """Every run of the recipe, by seed; the seeds are 0, 1, 2, … and none is left out."""
    golden_free_energies: list[float]


@cache
def root() -> Path:
    """The folder that holds ``configs/`` and ``checkpoints/``: the package in a wheel, its parent in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return package if (package / "configs").is_dir() else package.parent


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a member without loading it."""

    name: str
    description: str
    """The first line of its config."""
    lecture_accuracy: float | None
    """The test accuracy that the lecture reports, if it has this network."""
    papers: tuple[str, ...]
    """Where the network and its recipe come from."""
    config: Path
    checkpoint: Path
    """Where its trained network lies, if it ships one."""
    figures: Entry | None = None
    """Its entry in ``checkpoints/index.json``; None when no trained network ships."""
    demonstration: LikelihoodEntry | None = None
    """For a demonstration that ships: its entry in ``checkpoints/demonstrations.json``."""

    @property
    def test_accuracy(self) -> float | None:
        """The shipped network's accuracy on the official 10,000 test images."""
        return None if self.figures is None else 1 - self.figures["test_errors"] / self.figures["test_images"]


def index_path() -> Path:
    """Where the figures of the shipped networks lie."""
    return root() / "checkpoints" / "index.json"


def demonstrations_path() -> Path:
    """Where the figures of the shipped demonstrations lie."""
    return root() / "checkpoints" / "demonstrations.json"


@cache
def read_index() -> dict[str, Entry]:
    """Return ``checkpoints/index.json``: figures of the shipped members by name.

    Raises:
        UsageError: The file is no JSON, or an entry lacks something.
    """
    found: dict[str, Entry] = _read(index_path(), Entry)
    return found


@cache
def read_demonstrations() -> dict[str, LikelihoodEntry]:
    """Return ``checkpoints/demonstrations.json``: figures of the trained networks that are no members.

    Raises:
        UsageError: The file is no JSON, or an entry lacks something.
    """
    found: dict[str, LikelihoodEntry] = _read(demonstrations_path(), LikelihoodEntry)
    return found


def _read(path: Path, form: type) -> Any:
    if not path.is_file():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}): install the package again.") from error
    for name, entry in index.items() if isinstance(index, dict) else [("it", None)]:
        missing = _names(form) - (entry.keys() if isinstance(entry, dict) else set())
        if missing:
            raise UsageError(f"{path} is damaged ({name} lacks {', '.join(sorted(missing))}): install it again.")
    return index


def _names(form: Any) -> frozenset[str]:
    return frozenset(form.__required_keys__)


def list_models(filter: str = "*", pretrained: bool = False) -> list[str]:
    """Return the members' names in alphabetical order.

    Args:
        filter: Keep the names that match this shell pattern, for example ``"deep*"``.
        pretrained: Keep the members that ship a trained network.
    """
    names = sorted(path.stem for path in (root() / "configs").glob("*.yaml"))
    return [name for name in names if fnmatch.fnmatchcase(name, filter) and (not pretrained or name in read_index())]


def packaged_config(name: str) -> Path | None:
    """Return the config that ships under a name, ``dropout`` or ``trainer/gpu``, or None."""
    path = root() / "configs" / f"{name}.yaml"
    return path if path.is_file() else None


def model_info(name: str) -> ModelInfo:
    """Return what is known of a member, or of a demonstration that ships trained.

    Raises:
        UsageError: A `ValueError`: there is none of that name; close matches are named.
    """
    if name in read_demonstrations():
        return demonstration_info(name)
    names = list_models()
    if name not in names:
        raise unknown_name("member", name, [*names, *read_demonstrations()])
    return replace(_described(name, root() / "configs" / f"{name}.yaml"), figures=read_index().get(name))


def demonstration_info(name: str) -> ModelInfo:
    """Return what is known of a demonstration, whether it ships trained or not.

    Raises:
        UsageError: A `ValueError`: there is none of that name; close matches are named.
    """
    config = root() / "configs" / "demos" / f"{name}.yaml"
    if not config.is_file():
        raise unknown_name("member", name, [*list_models(), *read_demonstrations()])
    return replace(_described(name, config), demonstration=read_demonstrations().get(name))


def _described(name: str, config: Path) -> ModelInfo:
    description, *rest = _header(config) or [""]
    lecture = [float(line.removeprefix("Lecture:")) for line in rest if line.startswith("Lecture:")]
    return ModelInfo(
        name=name,
        description=description,
        lecture_accuracy=lecture[0] if lecture else None,
        papers=tuple(line.removeprefix("Paper:").strip() for line in rest if line.startswith("Paper:")),
        config=config,
        checkpoint=root() / "checkpoints" / f"{name}.ckpt",
    )


def _header(config: Path) -> list[str]:
    """The comment lines that a config begins with: what it is, then ``Lecture:`` and ``Paper:`` lines if any."""
    lines = []
    with config.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").strip())
    return lines
