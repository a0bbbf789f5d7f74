"""LightningCLI with the zoo's defaults and checks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningDataModule, Trainer, seed_everything
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI

from zoo.callbacks.busy_machine import BusyMachineNote
from zoo.callbacks.checkpointing import CHECKPOINT_DEFAULTS, LastStepCheckpoint
from zoo.callbacks.exact_resume import ExactResume
from zoo.callbacks.graceful_stop import EvaluationStop, GracefulStop
from zoo.callbacks.guessing import GuessingNote
from zoo.callbacks.prediction_writer import PredictionWriter
from zoo.callbacks.progress import EpochProgressBar, StartMessage
from zoo.callbacks.run_record import RunRecord
from zoo.cli.after_training import next_verb, test_trained_network
from zoo.cli.callback_checks import as_list, check_callbacks, with_own_checkpoints, without_checkpoints
from zoo.cli.parser import ZooArgumentParser, check_no_null_arguments
from zoo.cli.resolved_config import name_of_run, resolved_config
from zoo.cli.resume_checks import check_restorable, check_same_config, read_named_checkpoint
from zoo.cli.run_folder import FitRun, RunConfig, print_checkpoint
from zoo.cli.signals import raise_if_received
from zoo.cli.trackers import end_trackers
from zoo.cli.trainer_checks import check_seed_everything, complete_settings, draw_seed, use_double_precision
from zoo.data.base import ImageDataModule
from zoo.layers.sync_batchnorm import SyncBatchNormAnywhere
from zoo.models import Classifier, ZooModule
from zoo.models.lookup import import_member_class
from zoo.pretrained.loading import initialize_from
from zoo.runs.checkpoint import AtomicCheckpointIO, Checkpoint
from zoo.runs.folders import newest_checkpoint
from zoo.utils.class_paths import import_class
from zoo.utils.errors import Stopped, UsageError
from zoo.utils.float32_precision import set_float32_precision


class ZooCLI(LightningCLI):
    """`LightningCLI` for `ZooModule` and Lightning's data modules.

    Checkpoints are read with `zoo.runs.checkpoint.read_checkpoint`, which never imports what a file names.

    Args:
        arguments: The command-line arguments: a verb of the Trainer (``fit``, ``validate``, ``test`` or ``predict``)
            and its flags.

    Attributes:
        checkpoint: The checkpoint that ``--ckpt_path`` names, or None.

    Raises:
        UsageError: The arguments, the checkpoint or the settings are invalid.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._verb = arguments[0]
        self.checkpoint: Checkpoint | None = None
        self._run: FitRun | None = None
        self._drew_seed = False
        super().__init__(
            ZooModule,
            LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            # The models save their own class and arguments. Lightning would also save the path of a function to call.
            load_from_checkpoint_support=False,
            save_config_callback=RunConfig,
            parser_class=ZooArgumentParser,
            # A new flag could change the meaning of an abbreviated one, or make it ambiguous.
            parser_kwargs={"allow_abbrev": False, self._verb: {"allow_abbrev": False}},
            trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False},
            args=arguments,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Return the verb that is run, because a parser takes a tenth of a second to make and the parent makes four."""
        return {self._verb: super().subcommands()[self._verb]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Set the default data module and add the settings of the checkpoints that ``fit`` keeps."""
        parser.set_defaults({"data": {"class_path": "zoo.data.MNISTDataModule"}})
        parser.add_argument(
            "--float32_matmul_precision",
            choices=["highest", "high", "medium"],
            default="highest",
            help="high lets a GPU compute in TF32; medium, multiply matrices in bfloat16 and compute the rest in TF32",
        )
        # Registered here, the callback is present whatever callbacks a config lists, and can still be configured.
        parser.add_lightning_class_args(LastStepCheckpoint, "checkpoint")
        parser.set_defaults({f"checkpoint.{name}": value for name, value in CHECKPOINT_DEFAULTS.items()})

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if subcommand in ("validate", "test"):
            # `after_validate` and `after_test` print one line in place of Lightning's table.
            parser.set_defaults({"verbose": False})
        if subcommand == "predict":
            parser.add_class_arguments(PredictionWriter, fail_untyped=False)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse and check the arguments. Unlike the parent, never read ``sys.argv``.

        Raises:
            UsageError: The Trainer's settings are invalid, an argument is null, a class does not exist, or ``predict``
                is run with a network that is not a classifier.
        """
        self.config = parser.parse_args(args)  # type: ignore[arg-type]
        self.subcommand = self.config.subcommand
        complete_settings(str(self.subcommand), self.config[self.subcommand])
        for section in ("model", "data"):
            settings = self._get(self.config, section)
            check_no_null_arguments(settings.class_path, settings.get("init_args", {}))
        model = self._get(self.config, "model")
        model_class = import_class(model.class_path)
        if "." in str(member := model.get("init_args", {}).get("member")):
            import_member_class(str(member))
        if self.subcommand == "predict" and not issubclass(model_class, Classifier):
            raise UsageError(f"{model_class.__name__} is no classifier, so it predicts no classes: see `zoo test`.")

    def _set_seed(self) -> None:
        seed = check_seed_everything(self._get(self.config, "seed_everything"))
        self._drew_seed = seed is True
        if seed is not False:
            self.config[self.subcommand]["seed_everything"] = seed_everything(
                draw_seed() if seed is True else seed, workers=True, verbose=False
            )

    def _parse_ckpt_path(self) -> None:
        """Read the checkpoint and check that it matches the config.

        The parent would replace the config's class and arguments with the checkpoint's, and import whatever class the
        file names.

        Raises:
            UsageError: The checkpoint is missing or damaged, or does not match the config.
        """
        config = self.config[self.config.subcommand]
        path = config.get("ckpt_path")
        if path is None:
            if self.config.subcommand != "fit":
                raise UsageError(
                    f"`zoo {self.config.subcommand}` needs a trained network: give --ckpt_path FILE.ckpt "
                    "(`zoo fit` says where it wrote one) or the name of a member, as in --ckpt_path dropout."
                )
            return
        if path == "last":
            self.checkpoint = newest_checkpoint(self._runs_folder, self._resolved_config())
        else:
            self.checkpoint = read_named_checkpoint(path)
        # Always a path: for a keyword such as "best", Lightning would search for a checkpoint itself.
        config["ckpt_path"] = str(self.checkpoint.path)
        check_same_config(config, self._resolved_config(), self.checkpoint, resuming=self.subcommand == "fit")

    def before_instantiate_classes(self) -> None:
        """Set the precision of a GPU, which no argument of Lightning's does."""
        set_float32_precision(self._get(self.config, "float32_matmul_precision"))

    def after_instantiate_classes(self) -> None:
        """Check what would fail later, before other processes are started that would each report it.

        Raises:
            UsageError: The checkpoint does not fit the model, or the model and the data cannot be used together.
        """
        use_double_precision(self.trainer, self.model)
        if self.checkpoint is not None:
            check_restorable(self.trainer, self.model, self.datamodule, self.checkpoint)
        elif self.subcommand == "fit" and getattr(self.model, "init_from", None):
            initialize_from(self.model, self.model.init_from)
        if self.subcommand == "fit":
            check_callbacks(self.trainer, self.model, self.datamodule)
        if isinstance(self.datamodule, ImageDataModule):
            self.datamodule.command = self.subcommand
        if self.trainer.world_size > 1 and self.trainer.local_rank == 0:
            if self.subcommand == "fit" and isinstance(self.datamodule, ImageDataModule):
                self.datamodule.batch_size_per_process(self.trainer.world_size)
            self.datamodule.prepare_data()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the Trainer with the zoo's loggers, plugins and callbacks."""
        trainer = self._get(self.config_init, "trainer")
        callbacks = with_own_checkpoints(as_list(trainer.get("callbacks")))
        if self.subcommand != "fit":
            self.save_config_callback = None
        saves = self.subcommand == "fit" and trainer.get("enable_checkpointing") is not False
        if not saves or trainer.get("fast_dev_run"):
            # Drop the callback that `add_arguments_to_parser` registered as well.
            self._parser(self.subcommand).callback_keys.clear()
            kwargs["enable_checkpointing"] = False
            callbacks = without_checkpoints(callbacks)
        if (default_loggers := trainer.get("logger") in (None, True)) and not trainer.get("fast_dev_run"):
            kwargs["logger"] = False  # a run's own loggers write to its folder, which is not claimed yet
        if self.subcommand == "fit" and not trainer.get("fast_dev_run"):
            config = self._resolved_config()
            self._run = FitRun(self._runs_folder, config, self.checkpoint, default_loggers=default_loggers)
        synchronized = [SyncBatchNormAnywhere()] if trainer.get("sync_batchnorm") else []
        kwargs["plugins"] = [*as_list(trainer.get("plugins")), AtomicCheckpointIO(), *synchronized]
        kwargs["callbacks"] = [*callbacks, *self._callbacks(trainer)]
        return super().instantiate_trainer(**kwargs)

    @property
    def _runs_folder(self) -> Path:
        """The folder of all runs of this name, in ``default_root_dir`` or in ``logs``."""
        return Path(self._get(self.config, "trainer").get("default_root_dir") or "logs") / self.run_name

    def _callbacks(self, trainer: Any) -> list[Callback]:
        callbacks: list[Callback] = []
        resumed = self.checkpoint.path if self.checkpoint else None
        if self.subcommand == "fit":
            seed = self._get(self.config, "seed_everything")
            record = RunRecord(self._run.config if self._run else self._resolved_config(), resumed)
            start = StartMessage(self.run_name, seed, self.checkpoint)
            callbacks += [record, start, ExactResume(), BusyMachineNote(), GuessingNote()]
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(EpochProgressBar())
        if self.subcommand == "fit":
            # After EpochProgressBar, so that the last epoch's line is printed before training stops.
            callbacks.append(GracefulStop(resumed))
        callbacks.append(EvaluationStop())
        if self.subcommand == "predict":
            names = inspect.signature(PredictionWriter).parameters
            callbacks.append(PredictionWriter(**{name: self._get(self.config, name) for name in names}))
        return callbacks

    def _resolved_config(self) -> dict[str, Any]:
        return resolved_config(self._parser(self.subcommand), self.config[self.subcommand])

    @property
    def run_name(self) -> str:
        """The name of the run: the file name of its first config, or the name of the network's class."""
        return name_of_run(self.config[self.subcommand])

    def before_fit(self) -> None:
        """Claim a folder for the run."""
        if self._run is not None:
            self._run.begin(self.trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        """Run the verb, and remove the run's new folder if it fails before its first step."""
        try:
            raise_if_received()
            super()._run_subcommand(subcommand)
        except Stopped as stopped:
            if self._drew_seed:
                stopped.resume_with = f"--seed_everything {self._get(self.config, 'seed_everything')} --ckpt_path last"
            raise
        except BaseException:
            if self._run is not None:
                self._run.abandon(self.trainer)
            raise
        finally:
            end_trackers(self.trainer.loggers)

    def after_fit(self) -> None:
        """Evaluate the trained network on the test set and print its checkpoint's path."""
        settings = self._get(self.config, "trainer")
        if settings.fast_dev_run or self.trainer.interrupted:
            return
        seed = self._get(self.config, "seed_everything")
        path = test_trained_network(self.trainer, self.model, self.datamodule, settings, seed)
        if self.trainer.is_global_zero:
            self.report_training(path)

    def report_training(self, path: Path | None) -> None:
        """Print the test metrics of the trained network, and where its checkpoint is."""
        self.after_test()
        if path and self._run is not None and self._run.run is not None:
            verb = next_verb(self.trainer, self.model, self.datamodule)
            print_checkpoint(self._run.run.folder / "config.yaml", path, verb)
        elif self.checkpoint is not None:
            print("Nothing was trained: the checkpoint is at the end already; raise --trainer.max_epochs to go on.")
            if self._run is not None:
                self._run.abandon(self.trainer)

    def after_test(self) -> None:
        """Print the metrics of the test set.

        Raises:
            UsageError: ``zoo test`` was run on data without test images.
        """
        if self.subcommand == "test" and not self.trainer.callback_metrics:
            raise UsageError("There are no test images with labels: take some more, or another share of them.")
        if (summary := self.model.test_summary(self.trainer.callback_metrics)) and self.trainer.is_global_zero:
            print(f"Test set:   {summary}")

    def after_validate(self) -> None:
        """Print the metrics of the validation set.

        Raises:
            UsageError: There are no validation images.
        """
        summary = self.model.validation_summary(self.trainer.callback_metrics)
        if summary is None:
            raise UsageError("val_size is 0, so there are no validation images: take another, or `zoo test`.")
        if self.trainer.is_global_zero:
            print(f"Validation: {summary}")
