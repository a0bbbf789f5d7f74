"""LightningCLI with the zoo's defaults and its guards."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from zoo.callbacks.prediction import PredictionReport
from zoo.callbacks.progress import EpochLines, describe_run
from zoo.checkpoint import Checkpoint, check_fits, read_checkpoint
from zoo.class_paths import class_path_of, import_class
from zoo.cli.parser import ZooArgumentParser, find_usage_error, one_sentence
from zoo.data import MNISTDataModule
from zoo.errors import UsageError
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
            # An abbreviated flag that works today means something else, or two things, once another flag comes.
            parser_kwargs={"allow_abbrev": False} | {verb: {"allow_abbrev": False} for verb in self.subcommands()},
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
            parser.add_class_arguments(PredictionReport, fail_untyped=False)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; unlike the parent, take no notice of the words that started the process."""
        self.config = parser.parse_args(args)  # type: ignore[arg-type]

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
        described = class_path_of(import_class(model.class_path))
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

    def instantiate_classes(self) -> None:
        """Make data, network and Trainer; what a constructor says of a wrong argument is all the user need read."""
        try:
            super().instantiate_classes()
        except (ValueError, TypeError) as error:
            if usage := find_usage_error(error):
                raise usage from error
            if "Does not validate against" in str(error):
                raise UsageError(one_sentence(str(error))) from error
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer with the zoo's loggers and callbacks."""
        trainer = self._get(self.config_init, "trainer")
        if self.subcommand != "fit":
            self.save_config_callback = None
        if self.subcommand != "fit" or trainer.get("fast_dev_run"):
            # Nothing is to be kept, so nothing makes a folder.
            self._parser(self.subcommand).callback_keys.clear()
            kwargs["enable_checkpointing"] = False
        if trainer.get("logger") in (None, True):
            kwargs["logger"] = self._loggers(trainer) if self.subcommand == "fit" else False
        kwargs["callbacks"] = [*_as_list(trainer.get("callbacks")), *self._callbacks(trainer)]
        return super().instantiate_trainer(**kwargs)

    def _loggers(self, trainer: Any) -> list[TensorBoardLogger | CSVLogger]:
        folder = trainer.get("default_root_dir") or "logs"
        tensorboard = TensorBoardLogger(folder, name=self.name)
        return [tensorboard, CSVLogger(folder, name=self.name, version=tensorboard.version)]

    def _callbacks(self, trainer: Any) -> list[Callback]:
        callbacks: list[Callback] = []
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(EpochLines())
        if self.subcommand == "predict":
            names = inspect.signature(PredictionReport).parameters
            callbacks.append(PredictionReport(**{name: self._get(self.config, name) for name in names}))
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
        if self._get(self.config, "trainer").fast_dev_run or self.trainer.interrupted:
            return
        kept = self.trainer.checkpoint_callback
        path = kept.best_model_path if isinstance(kept, ModelCheckpoint) else ""
        self.trainer.test(
            self.model, datamodule=self.datamodule, ckpt_path=path or None, verbose=False, weights_only=True
        )
        folder = Path(self.trainer.log_dir or ".")  # asked for on every process, because they agree on it together
        if not self.trainer.is_global_zero:
            return
        print(self._test_line())
        if path:
            last = Path(path).with_name("last.ckpt")
            # The link is the easier name, where it leads to the same network.
            shown = _short(last if last.exists() and last.samefile(path) else Path(path))
            config = _short(folder / "config.yaml")
            print(f"Checkpoint: {shown}\nTest it:    zoo test --config {config} --ckpt_path {shown}")

    def after_test(self) -> None:
        """Say the test set's accuracy and number of errors."""
        if self.trainer.is_global_zero:
            print(self._test_line())

    def _test_line(self) -> str:
        figures = self.trainer.callback_metrics
        return f"Test set:   accuracy {figures['test_acc']:.4f}, {int(figures['test_errors']):,} errors"


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """Tuples and lists mean the same in an argument."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _short(path: Path) -> Path:
    """The path as a person would type it from here."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
