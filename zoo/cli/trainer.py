"""``zoo fit | validate | test | predict``: LightningCLI, with the zoo's defaults and its guards."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from zoo.callbacks.prediction import PredictionReport
from zoo.callbacks.progress import EpochLines, describe_run
from zoo.checkpoint import Checkpoint, check_fits, class_path_of, read_checkpoint
from zoo.cli.parser import ZooArgumentParser, find_values, replace_value
from zoo.data import MNISTDataModule
from zoo.errors import UsageError
from zoo.members import list_models, model_info
from zoo.models import Classifier

# How a network was trained does not change what it computes, so these may differ between a config and a checkpoint
# that is only evaluated.
TRAINING_ARGUMENTS = ("optimizer", "lr", "momentum", "weight_decay", "l2", "lr_schedule")


class ZooCLI(LightningCLI):
    """LightningCLI over `Classifier` and the shared data, reading checkpoints as `zoo.checkpoint` does."""

    def __init__(self, arguments: list[str]) -> None:
        self.checkpoint: Checkpoint | None = None
        super().__init__(
            Classifier,
            MNISTDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            # The models note their own class and arguments; Lightning's way would add the path of a function to call.
            load_from_checkpoint_support=False,
            save_config_kwargs={"overwrite": True},
            parser_class=ZooArgumentParser,
            trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False},
            args=arguments,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what every verb has: the data's default class and the checkpoints that ``fit`` keeps."""
        parser.set_defaults({"data": {"class_path": "zoo.data.MNISTDataModule"}})
        # Registered this way it is there whatever list of callbacks a config gives, and can still be configured.
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                # The newest two: the trained network is the last epoch's, and the one before is there if it breaks.
                "checkpoint.monitor": "step",
                "checkpoint.mode": "max",
                "checkpoint.save_top_k": 2,
                "checkpoint.save_last": "link",
                "checkpoint.save_on_train_epoch_end": True,
            }
        )

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand == "predict":
            parser.add_class_arguments(PredictionReport, "report", instantiate=False)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; unlike the parent, take no notice of the words that started the process."""
        self.config = parser.parse_args(args)

    def _set_seed(self) -> None:
        seed = self._get(self.config, "seed_everything")
        if not isinstance(seed, bool) and not 0 <= seed < 2**32:
            raise UsageError(f"seed_everything is {seed}, but a seed is 0 to {2**32 - 1}.")
        if seed is not False:
            self.config[self.subcommand]["seed_everything"] = seed_everything(
                None if seed is True else seed, workers=True, verbose=False
            )

    def _parse_ckpt_path(self) -> None:
        """Read the checkpoint, and refuse one that is not of the network that the config describes.

        Lightning would take the checkpoint's class and arguments in place of the config's, importing whatever
        class the file names.
        """
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if path is None:
            if self.config.subcommand != "fit":
                raise UsageError(
                    f"`zoo {self.config.subcommand}` needs a trained network: give --ckpt_path FILE.ckpt "
                    "(`zoo fit` says where it wrote one)."
                )
            return
        self.checkpoint = read_checkpoint(path)
        # Anything but a file that was just read: a word like "best" would let Lightning look for one of its own.
        config["ckpt_path"] = str(self.checkpoint.path)
        resuming = self.config.subcommand == "fit"
        if resuming and "optimizer_states" not in self.checkpoint.content:
            raise UsageError(f"{path} holds weights only, so a training cannot go on from it: name a run's checkpoint.")
        self._check_same_network(config.model, self.checkpoint, ignore=() if resuming else TRAINING_ARGUMENTS)

    def _check_same_network(self, model: Any, checkpoint: Checkpoint, ignore: tuple[str, ...]) -> None:
        from jsonargparse._util import import_object

        described = class_path_of(import_object(model.class_path))
        if checkpoint.class_path not in (None, described, model.class_path):
            raise UsageError(
                f"{checkpoint.path} holds a {checkpoint.class_path}, but the config describes a {described}: "
                "name the config that it was trained with."
            )
        for name, value in model.init_args.as_dict().items():
            if name in ignore or name not in checkpoint.arguments:
                continue
            if _plain(checkpoint.arguments[name]) != _plain(value):
                raise UsageError(
                    f"{checkpoint.path} was trained with {name} {checkpoint.arguments[name]!r}, but the config says "
                    f"{value!r}: name the config that it was trained with."
                )

    def after_instantiate_classes(self) -> None:
        """Refuse weights of other shapes before any work begins."""
        if self.checkpoint is not None:
            check_fits(self.model, self.checkpoint)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer with the zoo's loggers and callbacks."""
        trainer = self._get(self.config_init, "trainer")
        if self.subcommand != "fit":
            self.save_config_callback = None
        if trainer.get("logger") in (None, True):
            kwargs["logger"] = self._loggers(trainer) if self.subcommand == "fit" else False
        kwargs["callbacks"] = [*_as_list(trainer.get("callbacks")), *self._callbacks(trainer)]
        return super().instantiate_trainer(**kwargs)

    def _loggers(self, trainer: Any) -> list[TensorBoardLogger | CSVLogger]:
        folder = trainer.get("default_root_dir") or "logs"
        tensorboard = TensorBoardLogger(folder, name=self.name)
        # Both write to one folder, which is why the second finds it not empty.
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
        return [tensorboard, CSVLogger(folder, name=self.name, version=tensorboard.version)]

    def _callbacks(self, trainer: Any) -> list[Callback]:
        callbacks: list[Callback] = []
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(EpochLines())
        if self.subcommand == "predict":
            callbacks.append(PredictionReport(**self._get(self.config, "report").as_dict()))
        return callbacks

    @property
    def name(self) -> str:
        """What the run is called: its first config's name, or the network's class."""
        configs = self._get(self.config, "config") or []
        stem = Path(str(configs[0])).stem if configs else ""
        return stem if stem not in ("", "config") else type(self.model).__name__

    def before_fit(self) -> None:
        """Say in one line what is about to happen, and where."""
        print(describe_run(self.name, self.trainer, self.model, self._get(self.config, "seed_everything")))

    def after_fit(self) -> None:
        """Test the trained network on the official test set and say where it lies."""
        kept = self.trainer.checkpoint_callback
        if self.trainer.fast_dev_run or self.trainer.interrupted:
            return
        path = kept.best_model_path if isinstance(kept, ModelCheckpoint) else ""
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=path or None, verbose=False, weights_only=True
        )
        if not self.trainer.is_global_zero:
            return
        print(self._test_line())
        if isinstance(kept, ModelCheckpoint) and path:
            shown = _short(Path(kept.last_model_path or path) if kept.monitor == "step" else Path(path))
            print(f"Checkpoint: {shown}")
            print(f"Test it:    zoo test --config {_short(Path(self.trainer.log_dir or '.'))}/config.yaml --ckpt_path {shown}")

    def after_test(self) -> None:
        """Say the test set's accuracy and number of errors."""
        if self.trainer.is_global_zero:
            print(self._test_line())

    def _test_line(self) -> str:
        figures = self.trainer.callback_metrics
        return f"Test set:   accuracy {figures['test_acc']:.4f}, {int(figures['test_errors']):,} errors"


def run(verb: str, arguments: list[str]) -> int:
    """Run a Trainer's verb and return the exit status."""
    _quieten_lightning()
    _resolve_member_names(arguments)
    try:
        ZooCLI([verb, *arguments])
    except MisconfigurationException as error:
        raise UsageError(" ".join(str(error).split())) from error
    return 0


def _resolve_member_names(words: list[str]) -> None:
    for position, value in find_values(words, "--config", "-c"):
        if not Path(value).is_file() and value in list_models():
            replace_value(words, position, model_info(value).config)


def _quieten_lightning() -> None:
    """Keep Lightning's advertisement and its per-run inventory of hardware out of the way; ours is one line."""
    dropped = ("💡", "GPU available", "TPU available", "HPU available", "`Trainer.fit` stopped", "Restor", "Loaded model")
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.trainer.connectors"):
        logging.getLogger(name).addFilter(lambda record: not record.getMessage().startswith(dropped))


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """Tuples and lists mean the same in an argument."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _short(path: Path) -> Path:
    """The path as a person would type it from here."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
