"""``zoo.fit``: train a network and return its run."""

from __future__ import annotations

import html
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from zoo.api.settings import as_flags
from zoo.callbacks.busy_machine import BusyMachineNote
from zoo.callbacks.guessing import GuessingNote
from zoo.callbacks.progress import StartMessage
from zoo.cli.lightning_cli import ZooCLI
from zoo.cli.recipes import recipe_name
from zoo.cli.verbs.trainer import run_cli
from zoo.figures.curves import curves_of, read_history
from zoo.runs.run import Run
from zoo.utils.errors import Stopped, UsageError
from zoo.utils.files import display_path
from zoo.utils.picture import Picture
from zoo.utils.printable import printable
from zoo.utils.table import Table
from zoo.utils.unchanged import unchanged_process
from zoo.utils.wording import counted, with_article


@dataclass(frozen=True)
class TrainingRun:
    """A run of ``zoo.fit``.

    Args:
        name: The name of the run: that of its member, or of its config's file.
        config: The resolved config: the seed, the model and the data with all arguments, and settings of the Trainer.
        model: The trained network, in eval mode on the CPU.
        metrics: The last metrics of the training, and those of the test set (``test_acc``, ``test_errors``).
        folder: The folder of the run, ``logs/NAME/version_N``. It has the config, the logs and the checkpoints.
        checkpoint: The checkpoint of the trained network; None if checkpoints are disabled.
    """

    name: str
    config: Mapping[str, Any] = field(repr=False)
    model: LightningModule = field(repr=False)
    metrics: Mapping[str, float] = field(repr=False)
    folder: Path
    checkpoint: Path | None

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.config["seed_everything"])

    @property
    def history(self) -> Table:
        """The metrics of each epoch: a table with the columns ``epoch``, ``train_loss``, ``val_loss``, ``val_acc``, ….

        A run that goes on from an earlier one has the epochs of that one too.

        Raises:
            UsageError: The logs of the run are gone, or were disabled.
        """
        return _history(self.folder)

    def plot(self, *others: TrainingRun) -> Picture:
        """Return the curves of the run, beside those of other runs.

        Args:
            *others: Other runs. The legend names the settings that differ.

        Raises:
            UsageError: As for `history`.
        """
        runs = [Run.read(run.folder) for run in (self, *others)]
        figure = curves_of(runs, [read_history(run) for run in runs])
        return Picture.of_figure(figure, f"The curves of {' and '.join(run.name for run in (self, *others))}")

    def test(self) -> dict[str, float]:
        """Test the checkpoint on the official test images, as ``zoo test`` does, and return the metrics.

        Raises:
            UsageError: The run has no checkpoint, or its files are gone.
        """
        if self.checkpoint is None:
            raise UsageError(f"The run in {self.folder} has no checkpoint: train with checkpoints, or see .metrics.")
        arguments = ["--config", str(self.folder / "config.yaml"), "--ckpt_path", str(self.checkpoint)]
        with unchanged_process():
            cli = run_cli(_QuietCLI, "test", arguments)
        return _plain(cli.trainer.callback_metrics)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _lines(self) -> list[str]:
        parameters = sum(each.numel() for each in self.model.parameters() if each.requires_grad)
        lines = [f"{printable(self.name)}: {parameters:,} parameters, seed {self.seed}"]
        if "test_errors" in self.metrics:
            accuracy, errors = (self.metrics[name] for name in ("test_acc", "test_errors"))
            lines.append(f"Test set:   accuracy {accuracy:.4f}, {counted(errors, 'error')}")
        lines.append(f"Folder:     {display_path(self.folder)}")
        return lines

    def _repr_html_(self) -> str:
        text = "<br>".join(html.escape(line) for line in self._lines())
        try:
            history = self.history._repr_html_()
        except UsageError:  # the logs are gone, or were disabled
            history = ""
        return f"<p>{text}</p>{history}"


class _QuietCLI(ZooCLI):
    """A `ZooCLI` that prints the lines of the epochs at most, and keeps where the trained network is."""

    trained: Path | None = None

    def report_training(self, path: Path | None) -> None:
        """Keep the path of the trained network's checkpoint."""
        self.trained = path

    def after_test(self) -> None:
        """Print nothing."""

    def after_instantiate_classes(self) -> None:
        """Check that the program is the only process: Lightning would start a script again for every other device.

        Raises:
            UsageError: There are to be several.
        """
        super().after_instantiate_classes()
        if self.trainer.world_size > 1 and isinstance(self.trainer.strategy.launcher, _SubprocessScriptLauncher):
            raise UsageError(
                f"{self.trainer.world_size} processes were asked for, and a program of one's own is one: "
                "use the commands `zoo fit` and `zoo test` for several."
            )

    def run_folder(self) -> Path:
        """Return the folder of the run."""
        if self._run is None or self._run.run is None:
            raise UsageError("A trial run with fast_dev_run leaves nothing behind: use `zoo fit` for it.")
        return self._run.run.folder

    def _callbacks(self, trainer: Any) -> list[Callback]:
        notes = () if trainer.get("enable_progress_bar") is not False else (BusyMachineNote, GuessingNote)
        left_out = (StartMessage, *notes)
        return [callback for callback in super()._callbacks(trainer) if not isinstance(callback, left_out)]


def fit(
    config: str | Path,
    *,
    seed: int | None = None,
    folder: str | Path = "logs",
    resume: str | Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> TrainingRun:
    """Train a network, as ``zoo fit --config CONFIG`` does, and return its run.

    >>> run = zoo.fit("dropout", dropout=0.5, max_epochs=3)
    >>> run.history["val_acc"]
    >>> run.plot(zoo.fit("dropout", max_epochs=3))

    It trains on one device. Several need the command, or Lightning's ``ddp_notebook`` strategy in a notebook. The same
    settings and seed give the same network as the command, bit for bit on the same device with as many threads. The
    process is left as it was: random numbers, environment variables, handlers of signals. Trainings in several threads
    run one after the other.

    Args:
        config: The name of a member or another config that ships, or the path of a config.
        seed: The seed; None: that of the config.
        folder: The folder of all runs. The run's own is ``folder/NAME/version_N``.
        resume: The checkpoint to go on from, or ``"last"`` for the newest one of this config and seed.
        progress: Whether to print a line for each epoch, and to show a bar in a terminal or notebook.
        **settings: Settings to change, by their names: those of the model (``dropout``), the data (``batch_size``) and
            Lightning's Trainer (``max_epochs``). Where a name is in two of them, and for names that Python does not
            allow, give the part: ``model={"lr": 0.01}``.

    Returns:
        The run.

    Raises:
        UsageError: A setting is unknown or not valid, the data or the checkpoint cannot be used, or the loss is not
            finite. It is a `ValueError`.
        KeyboardInterrupt: Ctrl-C stopped the training. Its state is saved, and ``resume="last"`` goes on.
        SystemExit: SIGTERM stopped it likewise.
    """
    given: Any
    for given, wanted in ((config, "the name of a member or the path of a config"), (folder, "the path of a folder")):
        if not isinstance(given, str | Path):
            raise UsageError(f"zoo.fit takes {wanted}, and not {with_article(type(given).__name__)}.")
    name = str(config)
    # Before the config and the settings, which may name another number. Lightning's own default is all GPUs. Where
    # torchrun has started several processes, that number is used, and refused, or each process would train by itself.
    one_device = [] if "LOCAL_WORLD_SIZE" in os.environ else ["--trainer.devices", "1"]
    arguments = ["--trainer.default_root_dir", str(folder)]
    if seed is not None:
        arguments += ["--seed_everything", str(seed)]
    if resume is not None:
        arguments += ["--ckpt_path", str(resume)]
    if not progress:
        arguments += ["--trainer.enable_progress_bar", "false"]
    end: BaseException | None = None
    try:
        with unchanged_process():
            flags = as_flags(name, settings)
            cli = run_cli(_QuietCLI, "fit", [*one_device, "--config", name, *flags, *arguments])
    except Stopped as stopped:
        message = f'{stopped} The same call with resume="last" goes on from there.'
        end = KeyboardInterrupt(message) if stopped.signal == signal.SIGINT else _terminated(message)
    if end is not None:  # raised here, because the other exception's traceback holds the training and its memory
        raise end
    run_folder = cli.run_folder().absolute()
    model = cli.model.cpu().eval()
    model.trainer = None  # which holds the data, the optimizer and the loggers
    return TrainingRun(
        name=recipe_name(name),
        config=Run.read(run_folder).config or {},
        model=model,
        metrics={**_last_metrics(run_folder), **_plain(cli.trainer.callback_metrics)},
        folder=run_folder,
        checkpoint=cli.trained and cli.trained.absolute(),
    )


def _terminated(message: str) -> SystemExit:
    print(f"zoo: {message}", file=sys.stderr)
    return SystemExit(128 + signal.SIGTERM)


def _history(folder: Path) -> Table:
    logged = read_history(Run.read(folder))
    names = sorted(logged, key=lambda name: (not name.startswith("train_"), "loss" not in name, name))
    epochs = sorted({epoch for values in logged.values() for epoch in values})
    return Table([{"epoch": epoch + 1, **{name: logged[name].get(epoch) for name in names}} for epoch in epochs])


def _last_metrics(folder: Path) -> dict[str, float]:
    try:
        history = _history(folder)
    except UsageError:  # logging is disabled
        return {}
    return {name: value for name, value in history[-1].items() if isinstance(value, float)}


def source_of(network: str | Path | TrainingRun) -> str:
    """Return a member's name or the path of a checkpoint, by which a trained network is loaded.

    Raises:
        UsageError: The run has no checkpoint, or it is a list.
    """
    given: Any = network
    if isinstance(given, list | tuple | set):
        names = ", ".join(repr(str(each)) for each in given)
        raise UsageError(f"Networks are arguments of their own and not in a {type(given).__name__}: {names}.")
    if not isinstance(given, str | Path | TrainingRun):
        raise UsageError(
            f"A network is a member's name, the path of a checkpoint or a run of zoo.fit, and not "
            f"{with_article(type(given).__name__)}."
        )
    if not isinstance(network, TrainingRun):
        return str(network)
    if network.checkpoint is None:
        raise UsageError(f"The run in {network.folder} has no checkpoint: train with checkpoints.")
    return str(network.checkpoint)


def labels_of(networks: Sequence[str | Path | TrainingRun]) -> list[str]:
    """Return what a result calls each network: a run by its name and folder, as in ``dropout version_0``.

    Two runs of one name and folder, in different places, are called by their paths.
    """
    labels = [_label(network, lambda folder: folder.name) for network in networks]
    longer = [_label(network, display_path) for network in networks]
    return [label if labels.count(label) == 1 else long for label, long in zip(labels, longer, strict=True)]


def _label(network: str | Path | TrainingRun, place: Callable[[Path], str]) -> str:
    return f"{network.name} {place(network.folder)}" if isinstance(network, TrainingRun) else str(network)


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}
