from __future__ import annotations

from typing import Any

from zoo.data import MNISTDataModule
from zoo.models import DBN, MLP
from zoo.runs.recipe import completed, first_difference
from zoo.utils.class_paths import default_arguments


def test_defaults_are_those_of_the_class_and_of_what_it_hands_on_to() -> None:
    defaults = default_arguments(DBN)
    assert defaults["pretrain_epochs"] == DBN().hparams["pretrain_epochs"]
    assert defaults["lr_schedule"] == "constant"  # a classifier's
    for cls in (MLP, DBN, MNISTDataModule):
        defaults = default_arguments(cls)
        defaults.pop("init_from", None)  # which no checkpoint keeps
        assert defaults == dict(cls().hparams)


def test_an_argument_that_came_later_changes_no_older_run() -> None:
    def config(**data: Any) -> dict[str, Any]:
        return {
            "model": {"class_path": "zoo.models.MLP", "init_args": {"lr": 0.001}},
            "data": {"class_path": "zoo.data.MNISTDataModule", "init_args": {"batch_size": 100, **data}},
        }

    older, newer = config(), config(augment="none", augment_strength=1.0)
    assert first_difference(older, newer) is not None
    assert first_difference(completed(older, newer), newer) is None
    difference = first_difference(completed(older, config(augment="elastic")), config(augment="elastic"))
    assert difference == ("data.init_args.augment", "none", "elastic")


def test_nothing_that_only_an_older_config_names_is_imported() -> None:
    older = {"model": {"class_path": "evil.Net", "init_args": {}}, "data": "nonsense"}
    newer = {"model": {"class_path": "zoo.models.MLP", "init_args": {"lr": 0.1}}, "data": {"class_path": "no.such"}}
    assert completed(older, newer) == older
