"""Networks on the Hugging Face hub: loading them by ``hf:OWNER/REPO@REVISION``, and what `zoo push` uploads.

A repository holds ``model.safetensors``, ``config.json`` (the class, its arguments, and the sha256 of the weights) and
a model card. No code is read from it: the class must be one of the classifiers in `zoo.models`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zoo.data.base import DIGITS
from zoo.pretrained.hub_card import model_card
from zoo.pretrained.loading import load_classifier, zoo_classifiers
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.runs.checkpoint import Checkpoint, check_class, is_plain, load_into
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra
from zoo.version import __version__

PREFIX = "hf:"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
ATTEMPTS = 3
"""How often a file is asked for if the connection breaks. Newer versions of `huggingface_hub` repeat requests too."""
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHT_BYTES = 1 << 30
_ADDRESS = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)


def parse_address(address: str) -> tuple[str, str | None]:
    """Return the repository and the revision of ``hf:OWNER/REPO@REVISION``; None if no revision is given.

    Raises:
        UsageError: The address has another form.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UsageError(f"{address} is no address on the hub: write hf:OWNER/REPO, or hf:OWNER/REPO@REVISION.")
    return found[1], found[2]


def load_from_hub(address: str) -> TrainedClassifier:
    """Load a network from the hub, or from the hub's cache on this machine if the hub cannot be reached.

    Args:
        address: ``hf:OWNER/REPO@REVISION``. A revision of 40 digits, a commit, never changes; without a revision the
            newest commit of the branch ``main`` is taken.

    Raises:
        UsageError: The extra `hub` is missing, there is no such network, it is not whole, or it is of another class.
    """
    repository, revision = parse_address(address)
    check_installed()
    with _reported(address):
        config_path = _download(repository, CONFIG, revision, MAX_CONFIG_BYTES)
        # The commit of the config, so that the weights belong to it even if somebody pushes meanwhile.
        commit = config_path.parent.name
        weights = _download(repository, WEIGHTS, commit, MAX_WEIGHT_BYTES)
    if revision is not None and re.fullmatch("[0-9a-f]{40}", revision) and commit != revision:
        raise UsageError(f"{address} was answered with the commit {commit}: do not use it.")
    config = _read_config(config_path, address)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != config["sha256"]:
        raise UsageError(
            f"The weights of {address} are not those that were pushed: their sha256 is {digest}, and the config says "
            f"{config['sha256']}. Remove {weights} to download it again."
        )
    return _build(weights, config, address)


def _download(repository: str, name: str, revision: str | None, limit: int) -> Path:
    from huggingface_hub import hf_hub_download

    for attempt in range(1, ATTEMPTS + 1):
        try:
            path = Path(hf_hub_download(repository, name, revision=revision))
            break
        except Exception as error:
            if attempt == ATTEMPTS or not _is_broken_connection(error):
                raise
    if (size := path.stat().st_size) > limit:
        raise UsageError(f"{name} has {size:,} bytes, and at most {limit:,} are read: it is no network of the zoo.")
    return path


def _read_config(path: Path, address: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The {CONFIG} of {address} is no JSON: it is no network of the zoo.") from error
    kinds = {"class_path": str, "arguments": dict, "classes": list, "sha256": str, "temperature": float | int}
    if not isinstance(config, dict) or not all(isinstance(config.get(name), kind) for name, kind in kinds.items()):
        raise UsageError(f"The {CONFIG} of {address} lacks what a network of the zoo has: {', '.join(kinds)}.")
    if not is_plain(config["arguments"]) or not 0 < config["temperature"] < 1e6:
        raise UsageError(f"The {CONFIG} of {address} has values that no network of the zoo has.")
    return config


def _build(weights: Path, config: dict[str, Any], address: str) -> TrainedClassifier:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(weights.read_bytes())
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"The weights of {address} are damaged ({error}).") from error
    checkpoint = Checkpoint(Path(address), config["class_path"], config["arguments"], tensors, {})
    classifiers = zoo_classifiers()
    check_class(checkpoint, classifiers, "classifier of the zoo")
    model = checkpoint.make(classifiers[checkpoint.class_path])
    load_into(model, checkpoint)
    classes = tuple(map(str, config["classes"]))
    if len(classes) != model.hparams["num_classes"]:
        raise UsageError(f"The {CONFIG} of {address} names {len(classes)} classes, and the network has others.")
    return TrainedClassifier(
        model.eval(),
        classes,
        config.get("preprocessing") != "resize",
        float(config["temperature"]),
        file_name=WEIGHTS,
        sha256=config["sha256"],
    )


def push(source: str, address: str, *, private: bool = False) -> str:
    """Upload a trained network to the hub, and return the address of the new commit.

    The repository is made if it does not exist. The token is that of ``hf auth login`` or ``HF_TOKEN``.

    Args:
        source: A member that ships trained, or the path of a checkpoint of one of the classes in `zoo.models`.
        address: ``hf:OWNER/REPO``, or with a branch after ``@``.
        private: Whether a new repository is private.

    Raises:
        UsageError: The extra `hub` is missing, there is no such network, or the hub refuses it.
    """
    repository, branch = parse_address(address)
    check_installed()
    trained = load_classifier(source)
    from huggingface_hub import CommitOperationAdd, HfApi
    from safetensors.torch import save

    tensors = {name: value.detach().contiguous().clone() for name, value in trained.model.state_dict().items()}
    weights = save(tensors, metadata={"format": "pt"})
    config = {
        "class_path": class_path_of(type(trained.model)),
        "arguments": dict(trained.model.hparams),
        "classes": list(trained.class_names),
        "preprocessing": "preprocess" if trained.mnist_like else "resize",
        "temperature": trained.temperature,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "checkpoint_sha256": trained.sha256,
        "library": "mnist-lightning-zoo",
        "version": __version__,
    }
    files = {
        WEIGHTS: weights,
        CONFIG: (json.dumps(config, indent=1) + "\n").encode(),
        CARD: model_card(source, trained, repository, digits=trained.class_names == DIGITS).encode(),
    }
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    with _reported(address):
        api = HfApi(library_name="mnist-lightning-zoo", library_version=__version__)
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.create_commit(
            repository, operations, commit_message=f"Upload of {trained.file_name}", revision=branch
        )
    return f"{PREFIX}{repository}@{commit.oid}"


def _is_broken_connection(error: Exception) -> bool:
    """Return whether an error is one of the libraries by which `huggingface_hub` sends requests, new and old."""
    return type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3"))


def check_installed() -> None:
    """Check that the packages of the extra `hub` are installed.

    Raises:
        UsageError: One is missing.
    """
    if missing := [package for package in ("huggingface_hub", "safetensors") if find_spec(package) is None]:
        raise UsageError(f"The hub needs {', '.join(missing)}: {install_extra('hub')}.")


@contextmanager
def _reported(address: str) -> Iterator[None]:
    """Raise an error of the hub or the network as a `UsageError`."""
    from huggingface_hub import errors

    try:
        yield
    except UsageError:
        raise
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"There is no such revision on the hub: {address}.") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"There is no {address} on the hub, or it needs a token: log in with `hf auth login`."
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise UsageError(
            f"The hub cannot be reached, and {address} is not in this machine's cache: connect to the internet."
        ) from error
    except errors.EntryNotFoundError as error:
        raise UsageError(f"{address} is no network of the zoo: it has no {CONFIG} or no {WEIGHTS}.") from error
    except errors.HFValidationError as error:
        raise UsageError(f"{address} is no address on the hub: {error}") from error
    except Exception as error:
        if not isinstance(error, errors.HfHubHTTPError | OSError) and not _is_broken_connection(error):
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"The hub did not answer for {address} as it should ({reason[0]}): try again.") from error
