from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import zoo
from tests.written_studies import write_study
from zoo.pretrained import registry
from zoo.studies.recipe_runs import RecipeRuns, check_recipe, check_same_test_set, recipe_difference, recipe_runs
from zoo.studies.trial import TABLE, Trial, format_table
from zoo.utils.errors import UsageError

SHIPPED = zoo.list_models(pretrained=True)


def config_of(name: str) -> dict[str, Any]:
    """Return a member's config as it is written."""
    config: dict[str, Any] = yaml.safe_load(zoo.model_info(name).config.read_text(encoding="utf-8"))
    return config


def test_the_runs_of_a_member_are_the_published_ones() -> None:
    published = registry.read_index()["deep_relu_xavier"]["runs"]
    errors = tuple(run["test_errors"] for run in published)
    runs = recipe_runs("deep_relu_xavier")
    assert (runs.name, runs.errors, runs.images) == ("deep_relu_xavier", errors, 10_000)
    assert runs.seeds == tuple(range(len(errors)))
    assert len(errors) >= 30


def test_the_runs_of_a_study_are_those_with_a_result_and_the_others_are_counted() -> None:
    write_study(Path("study"), [187, 185, None, 190])
    runs = recipe_runs("study")
    assert runs == RecipeRuns("study", (187, 185, 190), 10_000, (0, 1, 3), without_result=1)
    assert str(runs) == "study: 187.3 ± 2.5 errors, n = 3; 1 more failed or was stopped early, not counted"
    assert recipe_runs(f"study/{TABLE}").errors == runs.errors


def test_runs_on_other_processors_are_other_trainings_and_not_counted() -> None:
    write_study(Path("study"), [187, 185])
    machines = {2: "Intel(R) Xeon(R) Processor", 3: "AMD EPYC", 4: "AMD EPYC", 5: "AMD EPYC"}
    with (Path("study") / TABLE).open("a", encoding="utf-8") as table:
        for number, processor in machines.items():
            trial = Trial(number, number, {}, "finished", test_errors=100 + number, test_images=10_000)
            trial = replace(trial, machine={"processor": processor, "device": "CPU with 1 thread"})
            table.write(format_table([trial]))
    runs = recipe_runs("study")
    assert (runs.errors, runs.seeds, runs.hardware, runs.elsewhere) == ((103, 104, 105), (3, 4, 5), "AMD EPYC", 3)
    assert str(runs) == "study: 104.0 ± 1.0 errors, n = 3 on AMD EPYC; 3 more on other processors, not counted"
    others = sum(len(each["runs"]) for each in registry.read_index()["dropout"]["elsewhere"])
    assert recipe_runs("dropout").elsewhere == others > 0


def test_a_member_comes_before_a_folder_of_its_name() -> None:
    write_study(Path("softmax"), [1, 2])
    assert len(recipe_runs("softmax").errors) >= 30
    assert recipe_runs("./softmax").errors == (1, 2)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dropuot", "did you mean dropout"),
        ("rbm", "no classifier"),
        ("missing/folder", "Unknown member or study"),
        ("empty", "There is no table of a study"),
        ("failed", "No run in failed has a result"),
        ("several", "runs of 2 settings"),
        ("mixed", "on one test set"),
        ("impossible", "on one test set"),
        ("doubled", "has trial 0 twice"),
        ("empty.csv", "name the folder of a study, or its trials.jsonl"),
    ],
)
def test_what_has_no_runs_of_one_recipe_is_refused(name: str, sentence: str) -> None:
    Path("empty").mkdir()
    Path("empty.csv").write_text("seed,errors\n")
    doubled = write_study(Path("doubled"), [5]) / TABLE
    doubled.write_text(doubled.read_text(encoding="utf-8") * 2, encoding="utf-8")
    write_study(Path("failed"), [None, None])
    write_study(Path("impossible"), [5, 10_001])
    for folder, second in {
        "several": Trial(1, 0, {"model.lr": 0.1}, "finished", test_errors=6, test_images=10_000),
        "mixed": Trial(1, 0, {}, "finished", test_errors=6, test_images=9_000),
    }.items():
        write_study(Path(folder), [5])
        with (Path(folder) / TABLE).open("a", encoding="utf-8") as table:
            table.write(format_table([second]))
    with pytest.raises(UsageError, match=sentence):
        recipe_runs(name)


def test_recipes_with_other_test_sets_are_not_compared() -> None:
    check_same_test_set([RecipeRuns("a", (1, 2), 100), RecipeRuns("b", (1, 2), 100)])
    with pytest.raises(UsageError, match="100 images and b on 200"):
        check_same_test_set([RecipeRuns("a", (1, 2), 100), RecipeRuns("b", (1, 2), 200)])


@pytest.mark.parametrize("name", SHIPPED)
def test_a_member_s_config_is_the_published_recipe_and_another_member_s_is_not(name: str) -> None:
    published = registry.read_index()[name]["config"]
    assert recipe_difference(published, published) is None
    config = config_of(name)
    assert recipe_difference(published, config) is None
    config["seed_everything"] = 7
    config["trainer"]["accelerator"] = "gpu"  # where a training runs is no part of the recipe
    assert recipe_difference(published, config) is None
    other = config_of("dropout" if name != "dropout" else "softmax")
    assert recipe_difference(published, other) is not None
    config["trainer"]["max_epochs"] += 1
    difference = recipe_difference(published, config)
    assert difference is not None
    assert difference[0] == "trainer.max_epochs"


def test_callbacks_are_a_part_of_a_recipe_and_a_study_s_are_not_imported() -> None:
    published = registry.read_index()["accurate_cnn"]["config"]
    config = config_of("accurate_cnn")
    (callback,) = config["trainer"]["callbacks"]
    callback["init_args"]["decay"] = 0.9
    assert recipe_difference(published, config) == ("trainer.callbacks.0.init_args.decay", 0.999, 0.9)
    callback["class_path"] = "no_such_module.Callback"
    difference = recipe_difference(published, config)
    assert difference is not None
    assert difference[0] == "trainer.callbacks"
    del config["trainer"]["callbacks"]
    assert recipe_difference(published, config) is not None


def test_a_study_s_class_is_not_imported() -> None:
    """A study's folder may come from elsewhere."""
    published = registry.read_index()["softmax"]["config"]
    config = config_of("softmax")
    config["model"]["class_path"] = "no_such_module.Model"
    assert recipe_difference(published, config) == (
        "model.class_path",
        "zoo.models.SoftmaxRegression",
        "no_such_module.Model",
    )


def test_the_recipe_of_a_study_is_checked() -> None:
    published = registry.read_index()["softmax"]["config"]
    config = config_of("softmax")
    write_study(Path("same"), [840], config=config)
    check_recipe(Path("same"), published)
    check_recipe(Path("same") / TABLE, published)
    without_data = {name: value for name, value in config.items() if name != "data"}
    write_study(Path("without_data"), [840], config=without_data)
    check_recipe(Path("without_data"), published)  # MNIST is the default
    config["model"]["init_args"]["lr"] = 0.5
    write_study(Path("other"), [840], config=config)
    with pytest.raises(UsageError, match=r"another recipe: model\.lr is 0\.5"):
        check_recipe(Path("other"), published)


@pytest.mark.parametrize("record", [None, "no JSON", "[]", "{}", '{"config": {"model": 1}}', "[" * 100_000])
def test_a_study_that_does_not_say_its_recipe_is_refused(record: str | None) -> None:
    write_study(Path("study"), [840])
    if record is not None:
        Path("study/study.json").write_text(record, encoding="utf-8")
    with pytest.raises(UsageError, match="does not say which recipe"):
        check_recipe(Path("study"), registry.read_index()["softmax"]["config"])


def test_a_study_that_changes_settings_is_not_of_the_published_recipe() -> None:
    config = config_of("softmax")
    Path("study").mkdir()
    trial = Trial(0, 0, {"model.lr": 0.1}, "finished", test_errors=6, test_images=10_000)
    Path("study", TABLE).write_text(format_table([trial]), encoding="utf-8")
    Path("study/study.json").write_text(json.dumps({"config": config}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"sets model\.lr"):
        check_recipe(Path("study"), registry.read_index()["softmax"]["config"])
