"""What the current folder may give to a command: classes of the user's own by their dotted paths, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import SOURCE, error_output, start_zoo
from tests.hostile_folder import PROBED, plant
from zoo.cli import main
from zoo.utils.local_modules import LocalModules

SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "200", "--trainer.max_epochs", "1"]
SHORT += ["--trainer.limit_test_batches", "1", "--trainer.limit_val_batches", "1"]


def unchanged(folder: Path, planted: dict[Path, bytes]) -> bool:
    return not list(folder.glob("ran-*")) and all(path.read_bytes() == content for path, content in planted.items())


def trained(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Train briefly, which must succeed, and return the output."""
    assert main(["fit", *words, *SHORT]) == 0
    return capsys.readouterr().out


def write_package(folder: Path, hidden: int) -> None:
    """Write a module, a package and a module that both import, with classes of each kind that a config can name."""
    (folder / "package").mkdir(parents=True)
    (folder / "sizes.py").write_text(f"HIDDEN = {hidden}\n")
    network = (
        "class Net(MLP):\n"
        "    def __init__(self, hidden_sizes: list[int] = [sizes.HIDDEN], lr: float = 0.001):\n"
        "        super().__init__(hidden_sizes, lr=lr)\n"
    )
    (folder / "mynet.py").write_text(f"import sizes\nfrom zoo.models import MLP\n\n{network}")
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "base.py").write_text("import sizes\nfrom zoo.models import MLP\n")
    (folder / "package" / "net.py").write_text(f"from .base import MLP, sizes\n\n{network}")
    (folder / "parts.py").write_text(
        "from pytorch_lightning import Callback\nfrom pytorch_lightning.loggers import CSVLogger\n"
        "from zoo import MNISTDataModule\n\n"
        "class Data(MNISTDataModule):\n    pass\n\n"
        "class Logger(CSVLogger):\n    pass\n\n"
        "class Told(Callback):\n    def on_fit_start(self, *_):\n        import late\n"
        "        print('told ' + late.WORD)\n"
    )
    (folder / "late.py").write_text("WORD = 'late'\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "mynet.Net"], "Net: 5,575 parameters"),
        (["--model", "package.net.Net"], "Net: 5,575 parameters"),
        (["--config", "mynet.yaml"], "mynet: 5,575 parameters"),
        (["--model", "model.yaml"], "Net: 5,575 parameters"),
        (
            [
                "--config",
                "bagging",
                "--model.num_members",
                "2",
                "--model.member",
                "mynet.Net",
                "--model.member_args",
                "{}",
            ],
            "11,150",
        ),
        (["--config", "softmax", "--data", "parts.Data"], "softmax: 7,850 parameters"),
        (["--config", "softmax", "--trainer.callbacks", "parts.Told"], "told late"),
        (["--config", "softmax", "--trainer.callbacks", '[{"class_path": "parts.Told"}]'], "told late"),
        (
            [
                "--config",
                "softmax",
                "--trainer.logger",
                '{"class_path": "parts.Logger", "init_args": {"save_dir": "x"}}',
            ],
            "7,850",
        ),
    ],
)
def test_classes_of_the_current_folder_are_found_by_their_paths(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_package(tmp_path, hidden=7)
    Path("mynet.yaml").write_text("model: {class_path: mynet.Net}")
    Path("model.yaml").write_text("class_path: mynet.Net")
    assert expected in trained(capsys, *words)


def test_the_next_command_finds_the_module_of_its_own_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list(sys.path)
    for folder, hidden, parameters in (("one", 7, 5575), ("other", 9, 7165)):
        write_package(tmp_path / folder, hidden)
        monkeypatch.chdir(tmp_path / folder)
        ensemble = ["--config", "bagging", "--model.num_members", "2", "--model.member_args", "{}"]
        assert f"{parameters:,} parameters" in trained(capsys, "--model", "mynet.Net")
        assert f"{2 * parameters:,} parameters" in trained(capsys, *ensemble, "--model.member", "mynet.Net")
    assert not {"mynet", "sizes"} & set(sys.modules)
    assert sys.path == before
    assert not [each for each in sys.meta_path if isinstance(each, LocalModules)]
    monkeypatch.chdir(tmp_path)
    assert "There is no module mynet" in error_output(["fit", "--model", "mynet.Net"], capsys)


def test_no_other_code_finds_a_module_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that lies below the current folder probes for an optional module; a file has a module's name."""
    plant(tmp_path, ["optional", "tensorflow", "torch_xla", "deep"])
    library = tmp_path / ".venv" / "probing_library.py"
    library.parent.mkdir()
    library.write_text(
        "import importlib.util\nfrom pytorch_lightning import Callback\n"
        "try:\n    import optional\nexcept ImportError:\n    pass\n"
        "assert importlib.util.find_spec('torch_xla') is None\n\nclass Probing(Callback):\n    pass\n"
    )
    monkeypatch.syspath_prepend(library.parent)
    trained(capsys, "--config", "softmax", "--trainer.callbacks", "probing_library.Probing")
    for name in ("tensorflow.ckpt", "tensorflow.Checkpoint"):
        error_output(["test", "--config", "softmax", "--ckpt_path", name], capsys)
        error_output(["fit", "--config", "softmax", "--model.init_from", name], capsys)
    assert not list(tmp_path.glob("ran-*"))


def test_no_file_there_replaces_an_installed_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path, ["torch", "torchvision", "yaml", "pytorch_lightning"])
    trained(capsys, "--config", "softmax", "--trainer.callbacks", "pytorch_lightning.callbacks.ModelSummary")
    assert not list(tmp_path.glob("ran-*"))


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("class_path: tensorflow.Network")])
@pytest.mark.parametrize(
    "words", [["--config", "softmax"], ["--model", "SoftmaxRegression", "--data", "MNISTDataModule"]]
)
def test_files_do_not_change_what_the_name_of_a_config_or_class_means(
    make: object, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    for name in ("softmax", "SoftmaxRegression", "MNISTDataModule", "cpu", "ModelSummary", "last"):
        make(Path(name))
    output = trained(capsys, *words, "--model.init_from", "softmax", "--trainer.callbacks", "ModelSummary")
    assert "7,850 parameters" in output
    evaluation = ["--ckpt_path", "softmax", "--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "1"]
    assert main(["test", "--config", "softmax", *evaluation]) == 0


def test_a_file_of_a_config_s_name_is_read_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    Path("dropout").write_text("model: {class_path: SoftmaxRegression}")
    assert "dropout: 7,850 parameters" in trained(capsys, "--config", "./dropout")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nowhere.Net", "There is no module nowhere, neither among the installed packages nor in {folder}"),
        ("package.nowhere.Net", "nowhere"),
        (
            "package.net.Nowhere",
            "There is no class Nowhere in the module package.net, which is {folder}/package/net.py",
        ),
        ("needing.Net", "There is no module not_installed, neither among the installed packages nor in {folder}"),
        ("broken.Net", "{folder}/broken.py cannot be imported: SyntaxError: "),
        ("failing.Net", "{folder}/failing.py cannot be imported: failing.py, line 2: ZeroDivisionError: "),
    ],
)
@pytest.mark.parametrize(
    "flag",
    [
        "--model",
        "yaml",
        *(pytest.param(flag, marks=pytest.mark.slow) for flag in ("--data", "--trainer.callbacks", "--model.member")),
    ],
)
def test_a_class_that_cannot_be_imported_is_reported_with_where_it_was_looked_for(
    flag: str, path: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_package(tmp_path, hidden=7)
    for name, code in {"needing": "import not_installed", "broken": "def (", "failing": "x = 1\nx / 0"}.items():
        Path(f"{name}.py").write_text(code)
    Path("own.yaml").write_text(f"model: {{class_path: {path}}}")
    words = ["--config", "own.yaml"] if flag == "yaml" else ["--config", "softmax", flag, path]
    if flag == "--model.member":
        words = ["--model", "BaggedEnsemble", flag, path]
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        assert sentence.format(folder=tmp_path) in error_output(["fit", *words], capsys)
    finally:
        sys.dont_write_bytecode = before


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn", "ddp_fork"])
def test_processes_of_several_devices_find_the_class(strategy: str, tmp_path: Path) -> None:
    write_package(tmp_path, hidden=7)
    plant(tmp_path, PROBED)
    devices = ["--trainer.devices", "2", "--trainer.strategy", strategy]
    words = ["fit", "--model", "package.net.Net", "--data", "parts.Data", "--trainer.callbacks", "parts.Told"]
    process = start_zoo(*words, *SHORT, *devices)
    output, errors = process.communicate(timeout=220)
    assert process.returncode == 0, errors
    assert output.count("told late") == 2
    assert not list(tmp_path.glob("ran-*"))


@pytest.mark.slow
def test_spawned_processes_of_a_script_find_the_class(tmp_path: Path) -> None:
    write_package(tmp_path, hidden=7)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    devices = ["--trainer.devices", "2", "--trainer.strategy", "ddp_spawn"]
    words = ["fit", "--model", "mynet.Net", "--trainer.callbacks", "parts.Told", *SHORT, *devices]
    (folder / "script.py").write_text(f"if __name__ == '__main__':\n    from zoo.cli import main\n    main({words})\n")
    process = start_zoo(program=(str(folder / "script.py"),))
    output, errors = process.communicate(timeout=220)
    assert output.count("told late") == 2, errors


VERBS = {
    "list": ["list"],
    "info": ["info", "softmax"],
    "fit": ["fit", "--config", "softmax", *SHORT],
    "fit a class": ["fit", "--model", "MLP", *SHORT],
    "fit an initialized network": ["fit", "--config", "dropout", "--model.init_from", "dropout", *SHORT],
    "validate": ["validate", "--config", "softmax", "--ckpt_path", "softmax", "--trainer.accelerator", "cpu"],
    "test": ["test", "--config", "softmax", "--ckpt_path", "softmax", "--trainer.accelerator", "cpu"],
    "predict": ["predict", "--config", "softmax", "--ckpt_path", "softmax", "--trainer.accelerator", "cpu"],
    "classify": ["classify", "page.png", "--save", "seen", "--model", "softmax"],
    "compare": ["compare", "softmax", "dropout"],
    "verify": ["verify", "softmax"],
    "figures": ["figures", "activations", "confusion"],
    "export": ["export", "softmax", "--format", "torch_export"],
    "bench": ["bench", "softmax", "--rounds", "1"],
}
FAST = ("list", "fit a class")


@pytest.mark.parametrize(
    "verb", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in VERBS]
)
def test_nothing_of_a_hostile_folder_is_run_followed_or_changed(verb: str, tmp_path: Path) -> None:
    plant(tmp_path, PROBED)
    page = np.full((50, 50), 255, np.uint8)
    page[10:40, 20:26] = 0
    Image.fromarray(page).save("page.png")
    planted = {path: path.read_bytes() for path in tmp_path.iterdir()}
    process = start_zoo(*VERBS[verb], MPLCONFIGDIR=str(tmp_path / "own"))
    output, errors = process.communicate(timeout=220)
    assert process.returncode == 0, errors
    assert "matplotlibrc" not in output + errors
    assert unchanged(tmp_path, planted)
    if verb == "figures":
        assert np.asarray(Image.open("figures/activations.png"))[0, 0, :3].tolist() == [255, 255, 255]


@pytest.mark.slow
def test_the_user_s_own_matplotlibrc_is_read(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text("savefig.facecolor: blue")
    process = start_zoo("figures", "activations", MATPLOTLIBRC="own")
    process.communicate(timeout=220)
    assert np.asarray(Image.open("figures/activations.png"))[0, 0, :3].tolist() == [0, 0, 255]


@pytest.mark.parametrize("named", [True, False])
def test_python_m_keeps_only_a_current_folder_that_pythonpath_names(named: bool, tmp_path: Path) -> None:
    Path("zoo_local.py").write_text("")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(
        "import atexit\n\n@atexit.register\ndef tell():\n    import importlib.util\n"
        "    print('found:', importlib.util.find_spec('zoo_local') is not None)\n"
    )
    folders = [str(tmp_path / "path"), SOURCE, *([str(tmp_path)] if named else [])]
    output, errors = start_zoo("--version", PYTHONPATH=os.pathsep.join(folders)).communicate()
    assert f"found: {named}" in output, errors
