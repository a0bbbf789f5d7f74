from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.cli.study_settings import check_settings
from zoo.pretrained.registry import packaged_config
from zoo.studies.settings import parse_settings
from zoo.utils.errors import UsageError


@pytest.fixture
def recipe() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(Path(str(packaged_config("dropout"))).read_text(encoding="utf-8"))
    config["model"]["init_args"]["hidden_sizes"] = [16]
    return config


def test_settings_of_every_kind_are_accepted_and_nothing_is_written(recipe: dict[str, Any], tmp_path: Path) -> None:
    texts = [
        "model.lr=log:1e-4:1e-2",
        "model.dropout=0,0.5",
        "model.hidden_sizes=[8,8],[16]",
        "data.num_train=null,900",
    ]
    texts += ["model.momentum=0.5,0.9", "data.batch_size=int:10:100", "trainer.max_epochs=1,2"]
    check_settings(recipe, parse_settings(texts))
    assert list(tmp_path.iterdir()) == list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("text", "part"),
    {
        "model.lrr=0.1,0.2": "model.lrr, which the recipe does not have: did you mean model.lr?",
        "lr=0.1,0.2": "did you mean model.lr?",
        "trainer.max_epoch=3": "did you mean trainer.max_epochs",
        "nonsense=3": "`zoo fit --config NAME --print_config` shows",
        "help=1": "which the recipe does not have",
        "print_config=1": "which the recipe does not have",
        "seed_everything=1,2": "give --seeds",
        "checkpoint.every_n_epochs=1": "sets itself",
        "trainer.default_root_dir=x": "sets itself",
        "data.val_size=1000,5000": "same validation images",
        "model.lr=0.1,fast": "--set model.lr=fast is refused: lr: Expected a float",
        "model.lr=null": "--set model.lr=null is refused: lr is null",
        "model.hidden_sizes=[8],8": "--set model.hidden_sizes=8 is refused",
        "model.hidden_sizes=[8],[0]": "--set model.hidden_sizes=[0] is refused: hidden_sizes is [0]",
        "model.dropout=uniform:0.5:1.5": "--set model.dropout=1.5 is refused: dropout is 1.5, but it must be",
        "model.lr=uniform:-1:1": "--set model.lr=-1.0 is refused: lr is -1.0",
        "model.activation=relu,rleu": "Unknown activation 'rleu': did you mean relu",
        "data.num_train=int:1:60000": "num_train is 60000",
        "trainer.max_epochs=many": "--set trainer.max_epochs=many is refused",
    }.items(),
)
def test_a_name_or_value_that_fit_refuses_is_one_sentence(recipe: dict[str, Any], text: str, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)) as error:
        check_settings(recipe, parse_settings(["model.momentum=0.5", text]))
    assert "\n" not in str(error.value)


def test_values_are_tried_with_the_other_settings_of_the_study(recipe: dict[str, Any]) -> None:
    recipe["data"]["init_args"]["val_size"] = 30_000
    with pytest.raises(UsageError, match="num_train=40000 is refused"):
        check_settings(recipe, parse_settings(["model.lr=0.1,0.2", "data.num_train=40000"]))
    del recipe["data"]["init_args"]["val_size"]
    check_settings(recipe, parse_settings(["model.lr=0.1,0.2", "data.num_train=40000"]))
    sized = parse_settings(["model.weight_init=he_normal", "model.bias_init=zeros,he_normal"])
    with pytest.raises(UsageError, match=r"model\.bias_init=he_normal is refused"):
        check_settings(recipe, sized)
