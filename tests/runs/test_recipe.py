from __future__ import annotations

from typing import Any

from zoo.data import MNISTDataModule
from zoo.models import DBN, MLP
from zoo.runs.recipe import first_difference, with_defaults
from zoo.utils.class_paths import default_arguments


def test_default_arguments_include_those_of_the_parent_classes() -> None:
    defaults = default_arguments(DBN)
    assert defaults["pretrain_epochs"] == DBN().hparams["pretrain_epochs"]
    assert defaults["lr_schedule"] == "constant"  # an argument of Classifier
    for cls in (MLP, DBN, MNISTDataModule):
        defaults = default_arguments(cls)
        for not_saved in ("init_from", "compile"):  # not among the hyperparameters
            defaults.pop(not_saved, None)
        assert defaults == dict(cls().hparams)


def test_an_argument_that_was_added_later_equals_its_default_in_an_older_config() -> None:
    def config(**data: Any) -> dict[str, Any]:
        return {
            "model": {"class_path": "zoo.models.MLP", "init_args": {"lr": 0.001}},
            "data": {"class_path": "zoo.data.MNISTDataModule", "init_args": {"batch_size": 100, **data}},
        }

    older, newer = config(), config(augment="none", augment_strength=1.0)
    assert first_difference(older, newer) is not None
    assert first_difference(with_defaults(older, newer), newer) is None
    difference = first_difference(with_defaults(older, config(augment="elastic")), config(augment="elastic"))
    assert difference == ("data.init_args.augment", "none", "elastic")


def test_a_class_that_only_the_older_config_names_is_not_imported() -> None:
    older = {"model": {"class_path": "evil.Net", "init_args": {}}, "data": "nonsense"}
    newer = {"model": {"class_path": "zoo.models.MLP", "init_args": {"lr": 0.1}}, "data": {"class_path": "no.such"}}
    assert with_defaults(older, newer) == older
