"""Batch norm that is refitted on the training images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

import zoo
from zoo.data.batches import ImageBatches, images_of
from zoo.models import MLP, BaggedEnsemble, Classifier
from zoo.training.batch_norm import refit_batch_norm


def test_it_is_torch_s_update_bn_where_nothing_is_dropped() -> None:
    torch.manual_seed(0)
    batches = list((torch.randn(4, 50, 1, 28, 28) * 3 + 1).unbind())
    one, other = MLP([8], batch_norm=True), MLP([8], batch_norm=True, dropout=0.5)
    other.load_state_dict(
        {**other.state_dict(), **dict(zip(other.state_dict(), one.state_dict().values(), strict=True))}
    )
    update_bn(batches, one.train())
    state = torch.get_rng_state()
    refit_batch_norm(other.eval(), other.parts(), other, batches)
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in other.modules())
    for expected, found in zip(layers(one), layers(other), strict=True):
        torch.testing.assert_close(found.running_mean, expected.running_mean)
        torch.testing.assert_close(found.running_var, expected.running_var)
        assert found.momentum == 0.1


def layers(model: nn.Module) -> list[nn.BatchNorm1d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]


class StatisticsWhenSaved(Callback):
    """Keeps what was there when the network was validated, and at the end of the epoch, where checkpoints are saved."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.seen.append({name: value.clone() for name, value in checkpoint["state_dict"].items()})


def train(model: Classifier, *callbacks: Callback, **settings: Any) -> Classifier:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"num_sanity_val_steps": 0, "max_epochs": 1}
    trainer = Trainer(accelerator="cpu", callbacks=list(callbacks), **{**quiet, **settings})
    trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=2500))
    return model


@pytest.mark.parametrize("settings", [{}, {"max_steps": 7, "limit_val_batches": 0}], ids=str)
def test_what_is_validated_and_saved_has_the_statistics_of_all_training_images(settings: dict[str, Any]) -> None:
    callback = StatisticsWhenSaved()
    seed_everything(0, verbose=False)
    model = train(MLP([8], batch_norm=True, refit_batch_norm=True), callback, **settings)
    loader: Any = model.trainer.train_dataloader
    images = torch.cat(list(images_of(loader.dataset)))
    hidden = images @ layers_of(model, nn.Linear)[0].weight.detach().T
    assert len(callback.seen) == (1 if settings else 2)
    for state in callback.seen:
        torch.testing.assert_close(state["net.2.running_mean"], hidden.mean(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state["net.2.running_var"], hidden.var(0), rtol=5e-3, atol=1e-5)


def layers_of(model: nn.Module, kind: type) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def test_no_weight_depends_on_it() -> None:
    states = []
    for refit in (False, True):
        seed_everything(0, verbose=False)
        model = MLP([8], batch_norm=True, dropout=0.2, refit_batch_norm=refit)
        states.append(train(model, max_epochs=2, limit_val_batches=0, enable_checkpointing=False).state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]) == ("running" not in name and "tracked" not in name)


def test_the_members_of_an_ensemble_are_refitted_too() -> None:
    arguments = {"hidden_sizes": [8], "batch_norm": True, "dropout": 0.5}
    model = BaggedEnsemble(member_args=arguments, num_members=2, bootstrap=False, refit_batch_norm=True)
    batches = list(torch.rand(3, 20, 1, 28, 28).unbind())
    members = model.members()
    refit_batch_norm(model, model.parts(), model, batches)
    for member, refitted in zip(members, model.members(), strict=True):
        refit_batch_norm(member, member.parts(), member, batches)
        for name, value in member.state_dict().items():
            if not name.endswith("num_batches_tracked"):  # stacked layers do not count
                torch.testing.assert_close(refitted.state_dict()[name], value)


def test_shuffled_images_are_all_images_in_equal_parts_and_always_the_same() -> None:
    images = torch.arange(2001, dtype=torch.uint8).repeat_interleave(784).view(2001, 28, 28)
    dataset = ImageBatches(images, torch.zeros(2001, dtype=torch.int64), torch.arange(2001))
    parts = list(images_of(dataset, shuffled=True))
    assert [len(part) for part in parts] == [667, 667, 667]
    assert torch.equal(torch.cat(parts)[:, 0].sort().values, (images[:, 0, 0] / 255).sort().values)
    assert torch.equal(torch.cat(parts), torch.cat(list(images_of(dataset, shuffled=True))))
