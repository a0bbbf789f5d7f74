from __future__ import annotations

import itertools
import json
import re

import pytest

from zoo.studies.settings import Choices, Range, SearchSpace, Value, as_flags, parse_settings
from zoo.utils.errors import UsageError

FORMS: dict[str, Choices | Range] = {
    "log:1e-4:1e-2": Range(1e-4, 1e-2, log=True),
    "uniform:0.1:0.5": Range(0.1, 0.5),
    "uniform:-1:1": Range(-1, 1),
    "int:64:512": Range(64, 512, whole=True),
    "int:64:512:log": Range(64, 512, log=True, whole=True),
    "0.1,0.3, 0.5": Choices((0.1, 0.3, 0.5)),
    "1e-3,1e-4": Choices((0.001, 0.0001)),
    "5": Choices((5,)),
    "-3,+3": Choices((-3, 3)),
    "relu,elu": Choices(("relu", "elu")),
    "none,null,true,false,no": Choices(("none", None, True, False, "no")),
    "[256,256],[512]": Choices(("[256,256]", "[512]")),
    "[[1, 2], [3]],{a: [1, 2]}": Choices(("[[1, 2], [3]]", "{a: [1, 2]}")),
    "'a,b',\"c:d\",'1','',true": Choices(("a,b", "c:d", "1", "", True)),
}


@pytest.mark.parametrize("text", FORMS)
def test_values_are_read_and_written_so_that_they_are_read_alike(text: str) -> None:
    space = parse_settings([f"model.x={text}"])
    assert space == SearchSpace({"model.x": FORMS[text]})
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert again.to_json() == space.to_json()


def test_whole_numbers_stay_whole() -> None:
    space = parse_settings(["a=int:1:3", "b=1,2.0"])
    assert [type(each) for each in (space.settings["a"].low, *space.settings["b"].values)] == [int, int, float]  # type: ignore[union-attr]


def test_spaces_that_differ_in_writing_only_are_equal() -> None:
    one = parse_settings(["model.lr=log:1e-4:1e-2", "model.activation=relu, elu"])
    other = parse_settings(["model.init_args.lr=log:0.0001:0.01", "model.activation='relu',elu"])
    assert one == other
    assert one.to_json() == other.to_json()


def test_a_grid_has_every_combination_in_order() -> None:
    space = parse_settings(["model.a=1,2,3", "model.b=x,y", "model.c=[1,2],null"])
    assert space.is_grid
    assert [tuple(cell.values()) for cell in space.cells()] == list(
        itertools.product((1, 2, 3), ("x", "y"), ("[1,2]", None))
    )
    assert all(list(cell) == ["model.a", "model.b", "model.c"] for cell in space.cells())
    assert parse_settings([]).cells() == [{}]


def test_a_range_makes_no_grid() -> None:
    space = parse_settings(["model.a=1,2", "model.b=uniform:0:1"])
    assert not space.is_grid
    with pytest.raises(UsageError, match="--trials"):
        space.cells()


def test_a_grid_beyond_all_measure_is_refused() -> None:
    ten = ",".join(map(str, range(10)))
    with pytest.raises(UsageError, match="1,000,000 combinations"):
        parse_settings([f"model.{name}={ten}" for name in "abcdef"]).cells()


def test_settings_become_flags_of_the_command_line() -> None:
    settings: dict[str, Value] = {"model.lr": 1e-5, "model.sizes": "[256,256]", "data.x": None, "model.x": True}
    assert as_flags(settings) == ["--model.lr=1e-05", "--model.sizes=[256,256]", "--data.x=null", "--model.x=true"]


@pytest.mark.parametrize(
    ("text", "part"),
    {
        "model.lr": "NAME=VALUES",
        "=0.1": "NAME=VALUES",
        "--model.lr=0.1": "NAME=VALUES",
        "model..lr=0.1": "NAME=VALUES",
        "model.lr=": "no values",
        "model.lr=  ": "no values",
        "model.lr=lgo:1:2": "did you mean log",
        "model.lr=loguniform:1:2": "did you mean log",
        "model.lr=unifrom:1:2": "did you mean uniform",
        "model.lr=normal:0:1": "the kinds are log",
        "model.lr=log:1e-2:1e-4": "smaller bound first",
        "model.lr=uniform:1:1": "smaller bound first",
        "model.lr=log:0:1": "no logarithm",
        "model.lr=log:-1:1": "no logarithm",
        "model.h=int:0:8:log": "no logarithm",
        "model.h=int:1.5:8": "whole numbers",
        "model.h=int:1:" + "9" * 5000: "whole numbers",
        "model.h=int:1:8:lin": "two numbers",
        "model.lr=uniform:1": "two numbers",
        "model.lr=uniform:1:2:3": "two numbers",
        "model.lr=uniform:a:b": "two numbers",
        "model.lr=uniform:nan:1": "two numbers",
        "model.lr=uniform:-1e308:1e308": "too wide",
        "model.lr=1e999": "too large",
        "model.lr=0.1,,0.2": "commas",
        "model.lr=0.1,": "commas",
        "model.lr=,": "commas",
        "model.h=[1,2": "commas",
        "model.h=1],[2": "commas",
        "model.h=" + "[" * 5000: "commas",
        "model.h=*x": "commas",
        "model.h=a\n,,b": "commas",
        "model.lr=0.1,0.10": "0.1 twice",
        "model.lr=1,1.0": "twice",
    }.items(),
)
def test_a_mistake_is_one_sentence(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=re.escape(part)) as error:
        parse_settings([text])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("second", ["model.lr=2", "model.init_args.lr=2"])
def test_a_name_is_given_once(second: str) -> None:
    with pytest.raises(UsageError, match=r"model\.lr twice"):
        parse_settings(["model.lr=1", second])
