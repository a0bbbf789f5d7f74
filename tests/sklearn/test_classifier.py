"""`ZooClassifier` is an estimator as scikit-learn has them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from zoo.data.mnist import load_test_data

pytest.importorskip("sklearn", reason="needs scikit-learn, which is in .[sklearn]")

from joblib import parallel_backend  # type: ignore[import-untyped]
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from zoo.sklearn import ZooClassifier

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.SkipTestWarning")


def digits(count: int, first: int = 0) -> tuple[Any, Any]:
    """Return test images as rows of 784 pixels in 0 to 255, and their labels as text."""
    split = load_test_data().splits["test"]
    images = split.images[first : first + count].numpy().reshape(count, 784)
    return images, np.array([f"digit {label}" for label in split.labels[first : first + count].tolist()])


def to_fractions(levels: Any) -> Any:
    return levels / 255


def test_a_pipeline_is_searched_and_cross_validated() -> None:
    images, labels = digits(300)
    classifier = ZooClassifier("deep_relu_xavier", max_epochs=3, batch_size=10, random_state=0)
    pipeline = make_pipeline(FunctionTransformer(to_fractions), classifier)
    grid = {"zooclassifier__lr": [1e-6, 1e-3], "zooclassifier__arguments": [{"hidden_sizes": [64]}]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(images, labels)
    assert search.best_params_["zooclassifier__lr"] == 1e-3
    assert search.best_estimator_[-1].module_.hparams["hidden_sizes"] == [64]
    scores = cross_val_score(search.best_estimator_, images, labels, cv=2)
    assert scores.min() > 0.3
    assert set(search.predict(images[:5])) <= set(labels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"lr": 1e30}, "The loss is not finite: try a lower lr"),
        ({"batch_size": 0}, "batch_size == 0, must be >= 1"),
        ({"max_epochs": 1.5}, "max_epochs must be an instance of int"),
        ({"arguments": {"num_classes": 4}}, "num_classes is the number of classes in y"),
    ],
)
def test_a_setting_that_trains_nothing_fails(arguments: dict[str, Any], sentence: str) -> None:
    images, labels = digits(60)
    settings: dict[str, Any] = {"max_epochs": 2, "random_state": 0}
    with pytest.raises((ValueError, TypeError), match=sentence):
        ZooClassifier(**{**settings, **arguments}).fit(images / 255, labels)


def test_numpy_s_integers_are_integers_and_seeds_hold_in_threads() -> None:
    images, labels = digits(200)
    counts: dict[str, Any] = {"max_epochs": np.int64(1), "batch_size": np.int64(10)}
    classifier = ZooClassifier(**counts, random_state=0)
    alone = cross_val_score(classifier, images / 255, labels, cv=2)
    with parallel_backend("threading"):
        together = cross_val_score(classifier, images / 255, labels, cv=2, n_jobs=2)
    assert together.tolist() == alone.tolist()


@pytest.mark.slow
def test_the_network_is_the_member_s_and_the_seed_decides() -> None:
    images, labels = digits(200)
    pixels = (images / 255).reshape(-1, 28, 28)
    before = torch.get_rng_state()
    first, again, other = (
        ZooClassifier("dropout_batchnorm", max_epochs=1, random_state=seed).fit(pixels, labels) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert type(first.module_) is type(zoo.create_model("dropout_batchnorm"))
    probabilities = first.predict_proba(images / 255)
    np.testing.assert_array_equal(probabilities, again.predict_proba(pixels))
    assert not np.array_equal(probabilities, other.predict_proba(pixels))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_training_starts_from_a_trained_member() -> None:
    images, labels = digits(200)
    started = ZooClassifier("softmax", arguments={"init_from": "softmax"}, max_epochs=1, lr=1e-9, random_state=0)
    started.fit(images / 255, labels)
    unseen, answers = digits(500, first=200)
    own = zoo.load_pretrained("softmax")
    expected = own(torch.from_numpy(unseen / 255).float().view(-1, 1, 28, 28)).argmax(dim=1)
    assert (started.predict(unseen / 255) == [f"digit {label}" for label in expected.tolist()]).mean() > 0.99
    assert started.score(unseen / 255, answers) > 0.85


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ZooClassifier("sofmax").fit(np.zeros((4, 784)), [0, 1, 0, 1]), "did you mean softmax"),
        (lambda: ZooClassifier(max_epochs=1).fit(np.zeros((4, 785)), [0, 1, 0, 1]), "at most 784"),
        (lambda: ZooClassifier(lr=-1).fit(np.zeros((4, 784)), [0, 1, 0, 1]), "lr"),
    ],
)
def test_mistakes_are_value_errors(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "zoo.sklearn.classifier")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(zoo.UsageError, match=r"\.\[sklearn\]"):
        zoo.sklearn.ZooClassifier  # noqa: B018


@pytest.mark.slow
@parametrize_with_checks([ZooClassifier("softmax", max_epochs=40, batch_size=10, lr=0.05, random_state=0)])  # type: ignore[untyped-decorator]
def test_scikit_learn_s_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("member", zoo.list_models())
def test_every_member_is_trained_on_arrays(member: str) -> None:
    images, labels = digits(202)
    arguments = {"pretrain_epochs": 0} if member.endswith("dbn") else None
    classifier = ZooClassifier(member, arguments=arguments, max_epochs=1, random_state=0).fit(images / 255, labels)
    assert classifier.predict_proba(images[:7] / 255).shape == (7, 10)
