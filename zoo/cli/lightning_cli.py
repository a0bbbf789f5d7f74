"""LightningCLI with the zoo's defaults and its guards."""

from __future__ import annotations

import contextlib
import inspect
import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Callback, LightningDataModule, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from zoo.callbacks.checkpointing import LastStepCheckpoint
from zoo.callbacks.exact_resume import ExactResume
from zoo.callbacks.graceful_stop import GracefulStop, Termination
from zoo.callbacks.prediction_writer import PredictionReport
from zoo.callbacks.progress import Announcement, EpochLines
from zoo.callbacks.run_record import RunRecord
from zoo.cli.parser import ZooArgumentParser, check_no_null
from zoo.cli.resume_checks import check_same_network, check_same_steps
from zoo.cli.trainer_checks import check_trainer, set_default_length, set_devices
from zoo.data.base import ImageDataModule
from zoo.layers.sync_batchnorm import SyncBatchNormAnywhere
from zoo.models import Classifier, ZooModule
from zoo.pretrained.loading import initialize_from
from zoo.pretrained.registry import list_models, model_info, read_demonstrations
from zoo.runs.checkpoint import AtomicCheckpointIO, Checkpoint, check_fits, read_checkpoint
from zoo.runs.folders import newest_checkpoint
from zoo.utils.class_paths import import_class
from zoo.utils.errors import UsageError
from zoo.utils.files import as_typed


class ZooCLI(LightningCLI):
    """LightningCLI over `ZooModule` and the shared data, reading checkpoints as `zoo.runs.checkpoint` does."""

    def __init__(self, arguments: list[str]) -> None:
        self.checkpoint: Checkpoint | None = None
        self._new_folder: Path | None = None
        super().__init__(
            ZooModule,
            LightningDataModule,
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
        parser.add_lightning_class_args(LastStepCheckpoint, "checkpoint")
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
        if subcommand in ("validate", "test"):
            parser.set_defaults({"verbose": False})  # we say it in a line, and Lightning would draw a table
        if subcommand == "predict":
            parser.add_class_arguments(PredictionReport, fail_untyped=False)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; unlike the parent, take no notice of the words that started the process."""
        self.config = parser.parse_args(args)  # type: ignore[arg-type]
        self.subcommand = self.config.subcommand
        trainer = self._get(self.config, "trainer")
        set_default_length(trainer)
        set_devices(trainer)
        check_trainer(str(self.subcommand), trainer)
        for part in ("model", "data"):
            chosen = self._get(self.config, part)
            check_no_null(chosen.class_path, chosen.get("init_args", {}))
        model = self._get(self.config, "model")
        described = import_class(model.class_path)
        if "." in str(part := model.get("init_args", {}).get("member")):
            _import_part(str(part))
        if self.subcommand == "predict" and not issubclass(described, Classifier):
            raise UsageError(f"An {described.__name__} tells no classes apart, so it predicts none: see `zoo test`.")

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
        if path == "last":
            self.checkpoint = newest_checkpoint(Path(self._log_folder) / self.name, self._resolved_config())
        else:
            named = not Path(path).exists() and path in [*list_models(pretrained=True), *read_demonstrations()]
            self.checkpoint = read_checkpoint(model_info(path).checkpoint if named else path)
        # Anything but a file that was just read: a word like "best" would let Lightning look for one of its own.
        config["ckpt_path"] = str(self.checkpoint.path)
        check_same_network(config.model, self.checkpoint, resuming=self.subcommand == "fit")
        if self.subcommand == "fit":
            check_same_steps(self._resolved_config(), self.checkpoint)

    def after_instantiate_classes(self) -> None:
        """Refuse what cannot work before other processes are started, each of which would complain."""
        if self.checkpoint is not None:
            check_fits(self.model, self.checkpoint)
        elif self.subcommand == "fit" and getattr(self.model, "init_from", None):
            initialize_from(self.model, self.model.init_from)
        if self.trainer.world_size > 1 and self.trainer.local_rank == 0:
            if self.subcommand == "fit" and isinstance(self.datamodule, ImageDataModule):
                self.datamodule.batch_size_of_each(self.trainer.world_size)
            self.datamodule.prepare_data()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the Trainer with the zoo's loggers and callbacks."""
        trainer = self._get(self.config_init, "trainer")
        if self.subcommand != "fit":
            self.save_config_callback = None
        if self.subcommand != "fit" or trainer.get("fast_dev_run") or trainer.get("enable_checkpointing") is False:
            # Nothing is to be kept.
            self._parser(self.subcommand).callback_keys.clear()
            kwargs["enable_checkpointing"] = False
        if self.subcommand == "fit":
            kwargs |= self._place_of_the_run(trainer.get("logger"))
        elif trainer.get("logger") in (None, True):
            kwargs["logger"] = False
        kwargs["plugins"] = [*_as_list(trainer.get("plugins")), AtomicCheckpointIO()]
        if trainer.get("sync_batchnorm"):
            kwargs["plugins"].append(SyncBatchNormAnywhere())
        kwargs["callbacks"] = [*_as_list(trainer.get("callbacks")), *self._callbacks(trainer)]
        return super().instantiate_trainer(**kwargs)

    @property
    def _log_folder(self) -> str:
        return self._get(self.config, "trainer").get("default_root_dir") or "logs"

    def _place_of_the_run(self, logger: Any) -> dict[str, Any]:
        """The Trainer's arguments for a new folder, ``logs/NAME/version_N``; none when loggers are configured."""
        if logger not in (None, True, False):
            return {}
        tensorboard = TensorBoardLogger(self._log_folder, name=self.name)
        self._new_folder = Path(tensorboard.log_dir)
        if logger is False:
            # Without a logger Lightning would take the current folder for the run's.
            return {"default_root_dir": tensorboard.log_dir}
        return {"logger": [tensorboard, CSVLogger(self._log_folder, name=self.name, version=tensorboard.version)]}

    def _callbacks(self, trainer: Any) -> list[Callback]:
        callbacks: list[Callback] = []
        if self.subcommand == "fit":
            seed = self._get(self.config, "seed_everything")
            callbacks += [
                RunRecord(self._resolved_config(), self.checkpoint.path if self.checkpoint else None),
                Announcement(self.name, seed, self.checkpoint),
                ExactResume(),
            ]
        if trainer.get("enable_progress_bar") is not False:
            callbacks.append(EpochLines())
        if self.subcommand == "fit":
            callbacks.append(GracefulStop())  # after the line of the epoch that it may be the last to see
        callbacks.append(Termination())
        if self.subcommand == "predict":
            names = inspect.signature(PredictionReport).parameters
            callbacks.append(PredictionReport(**{name: self._get(self.config, name) for name in names}))
        return callbacks

    def _resolved_config(self) -> dict[str, Any]:
        """What is run: the seed, model and data with all arguments, and the Trainer's settings that were made."""
        parser = self._parser(self.subcommand)
        whole, chosen = (
            yaml.safe_load(parser.dump(self.config[self.subcommand], skip_default=skip, skip_validation=True))
            for skip in (False, True)
        )
        return {
            "seed_everything": whole["seed_everything"],
            "model": whole["model"],
            "data": whole["data"],
            "trainer": chosen.get("trainer", {}),
        }

    @property
    def name(self) -> str:
        """What the run is called: its first config's name, or the network's class."""
        configs = self._get(self.config, "config") or []
        stem = Path(str(configs[0])).stem if configs else ""
        if stem not in ("", "config"):
            return stem
        return str(self._get(self.config, "model").class_path).rpartition(".")[2]

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except Exception:
            self._discard_empty_run()
            raise

    def _discard_empty_run(self) -> None:
        """Remove the folder of a run that failed before its first step: it is new and holds nothing."""
        folder = self._new_folder
        if folder is None or not self.trainer.is_global_zero:
            return
        if self.trainer.global_step > (self.checkpoint.content["global_step"] if self.checkpoint else 0):
            return
        if folder.is_dir() and not list(folder.rglob("*.ckpt")):
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # as long as they are empty
                folder.parent.rmdir()
                folder.parent.parent.rmdir()

    def after_fit(self) -> None:
        """Test the trained network on the official test set and say where it lies."""
        trainer = self._get(self.config, "trainer")
        if trainer.fast_dev_run or self.trainer.interrupted:
            return
        kept = self.trainer.checkpoint_callback
        path = kept.best_model_path if isinstance(kept, ModelCheckpoint) else ""
        # The last step's network is the one in memory, and not every machine has the first one's disk.
        best = path if path and isinstance(kept, ModelCheckpoint) and kept.monitor != "step" else None
        if trainer.get("limit_test_batches") != 0:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False, weights_only=True)
        folder = Path(self.trainer.log_dir or ".")  # asked for on every process, because they agree on it together
        if not self.trainer.is_global_zero:
            return
        self.after_test()
        if path:
            last = Path(path).with_name("last.ckpt")
            # The link is the easier name, where it leads to the same network.
            shown = as_typed(last if last.exists() and last.samefile(path) else Path(path))
            command = ["zoo", "test", "--config", str(as_typed(folder / "config.yaml")), "--ckpt_path", str(shown)]
            print(f"Checkpoint: {shown}\nTest it:    {shlex.join(command)}")
        elif self.checkpoint is not None:
            print("Nothing was trained: the checkpoint is at the end already; raise --trainer.max_epochs to go on.")

    def after_test(self) -> None:
        """Say what was measured on the test set."""
        if self.subcommand == "test" and not self.trainer.callback_metrics:
            raise UsageError("There are no test images in this data: take some more, or another share of them.")
        if (summary := self.model.test_summary(self.trainer.callback_metrics)) and self.trainer.is_global_zero:
            print(f"Test set:   {summary}")

    def after_validate(self) -> None:
        """Say what was measured on the validation set."""
        summary = self.model.validation_summary(self.trainer.callback_metrics)
        if summary is None:
            raise UsageError("val_size is 0, so there are no validation images: take another, or `zoo test`.")
        if self.trainer.is_global_zero:
            print(f"Validation: {summary}")


def _import_part(class_path: str) -> None:
    """Import the class of an ensemble's members, which the ensemble itself, made from a checkpoint too, never does."""
    try:
        import_class(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"There is no class {class_path} ({error}): check model.member.") from error


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
