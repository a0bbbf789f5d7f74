from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytorch_lightning import Trainer

from zoo import MNISTDataModule
from zoo.models import MLP, SoftmaxRegression
from zoo.utils.errors import UsageError


def make_trainer(**arguments: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **arguments,
    )


class OwnStep(SoftmaxRegression):
    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        images, labels, *_ = batch
        return F.cross_entropy(self(images), labels)


def test_a_step_of_one_s_own_that_counts_nothing_logs_no_nan() -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(OwnStep(), datamodule=MNISTDataModule(num_train=200))
    assert "train_loss" not in trainer.callback_metrics
    assert trainer.callback_metrics["val_loss"] > 0


def test_l2_adds_lambda_times_the_sum_of_squared_weights(test_batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = MLP([16], bias_init="normal", l2=0.01)
    images, labels = test_batch
    weights = [w for w in model.parameters() if w.dim() == 2]
    expected = F.cross_entropy(model(images), labels) + 0.01 * sum(w.square().sum() for w in weights)
    torch.testing.assert_close(model.training_step(test_batch, 0), expected)


def test_l2_penalty_excludes_batch_norm() -> None:
    model = MLP([16], batch_norm=True, l2=1.0)
    weights = [w for w in model.parameters() if w.dim() == 2]
    torch.testing.assert_close(model.l2_penalty(), sum(w.square().sum() for w in weights))


def test_label_smoothing_mixes_the_labels_with_the_mean_of_all_classes(
    test_batch: tuple[torch.Tensor, torch.Tensor],
) -> None:
    model = MLP([16], label_smoothing=0.2)
    images, labels = test_batch
    log_probabilities = model(images).log_softmax(1)
    targets = 0.8 * F.one_hot(labels, 10) + 0.2 / 10
    loss, measured = model.step(test_batch)
    torch.testing.assert_close(loss, -(targets * log_probabilities).sum(1).mean())
    torch.testing.assert_close(measured["cross_entropy"], F.cross_entropy(model(images), labels).detach())


def test_label_smoothing_trains_the_same_network_with_any_number_of_steps_in_a_call() -> None:
    weights = []
    for smoothing, steps in ((0.2, 1), (0.2, None), (0.0, None)):
        torch.manual_seed(0)
        model = MLP([8], label_smoothing=smoothing, lr=0.01, steps_per_call=steps)
        make_trainer(max_epochs=1).fit(model, datamodule=MNISTDataModule(num_train=500, val_size=0))
        weights.append(model.state_dict()["net.1.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2])


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({}, torch.optim.Adam),
        ({"optimizer": "adamw", "weight_decay": 0.1}, torch.optim.AdamW),
        ({"optimizer": "sgd", "momentum": 0.5}, torch.optim.SGD),
    ],
)
def test_optimizers_are_chosen_by_name(arguments: dict[str, Any], kind: type) -> None:
    optimizer = SoftmaxRegression(lr=0.25, **arguments).make_optimizer()
    assert type(optimizer) is kind
    assert isinstance(optimizer, torch.optim.Optimizer)
    settings = optimizer.param_groups[0]
    assert settings["lr"] == 0.25
    assert settings["fused"]
    assert settings["weight_decay"] == arguments.get("weight_decay", 0)
    assert settings.get("momentum") == arguments.get("momentum")


def test_cosine_schedule_ends_at_zero_after_the_last_step() -> None:
    model = SoftmaxRegression(lr_schedule="cosine", lr=0.1)
    rates = []
    model.on_train_batch_end = lambda *_: rates.append(model.optimizers().param_groups[0]["lr"])  # type: ignore
    trainer = make_trainer(max_epochs=2)
    trainer.fit(model, datamodule=MNISTDataModule(num_train=500))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-8)
    assert len(rates) == 10
    assert rates == sorted(rates, reverse=True)


def test_cosine_schedule_without_a_known_end_raises() -> None:
    with pytest.raises(UsageError, match="cosine needs to know the end"):
        make_trainer(max_epochs=-1).fit(
            SoftmaxRegression(lr_schedule="cosine"), datamodule=MNISTDataModule(num_train=10)
        )


def test_metrics_are_logged_under_their_names() -> None:
    trainer = make_trainer(max_epochs=1)
    model, data = SoftmaxRegression(), MNISTDataModule(num_train=500)
    trainer.fit(model, datamodule=data)
    assert set(trainer.callback_metrics) == {"train_loss", "train_acc", "val_loss", "val_acc"}
    (metrics,) = trainer.test(model, datamodule=data, verbose=False)
    assert set(metrics) == {"test_loss", "test_acc", "test_errors"}
    data.setup("test")
    with torch.inference_mode():
        errors = sum(int((model(images).argmax(1) != labels).sum()) for images, labels in data.test_dataloader())
    assert metrics["test_errors"] == errors
    assert metrics["test_acc"] == pytest.approx(1 - errors / 10_000)


def test_without_validation_images_no_validation_metrics_are_logged() -> None:
    trainer = make_trainer(max_epochs=1, limit_train_batches=5)
    trainer.fit(SoftmaxRegression(), datamodule=MNISTDataModule(val_size=0))
    assert set(trainer.callback_metrics) == {"train_loss", "train_acc"}


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:You defined a `validation_step`")
def test_training_with_a_user_s_data_loader() -> None:
    images, labels = torch.rand(30, 1, 28, 28), torch.randint(10, (30,))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=10)
    trainer = make_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(MLP([8]), loader)
    assert trainer.global_step == 3


def test_predict_step_returns_probabilities(test_batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    model = MLP([8]).eval()
    probabilities = model.predict_step(test_batch, 0)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(1000))
    torch.testing.assert_close(probabilities.log(), model(test_batch[0]).log_softmax(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": "adma"}, "did you mean adam"),
        ({"lr_schedule": "cosin"}, "did you mean cosine"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"l2": -1.0}, "l2 is -1.0"),
        ({"hidden_sizes": [8, 0]}, "every layer has 1 to 1000000 units"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"activation": "Relu"}, "did you mean relu"),
    ],
)
def test_wrong_arguments_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MLP(**arguments)
