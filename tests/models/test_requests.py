"""Networks in Trainers, loops and tools of other people's programs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import BackboneFinetuning, EMAWeightAveraging, ModelPruning
from torch.utils.data import DataLoader, TensorDataset

from zoo.models import DBN, MLP, RBM, GenerativeDBN, ZooModule
from zoo.models.bagging import BaggedEnsemble
from zoo.models.requests import check_batch
from zoo.utils.errors import UsageError
from zoo.utils.wording import with_article

NETWORKS: dict[str, Callable[[], ZooModule]] = {
    "mlp": lambda: MLP([8], batch_norm=True),
    "dbn": lambda: DBN([8], pretrain_epochs=0),
    "generative_dbn": lambda: GenerativeDBN([8, 8], pretrain_epochs=1),
    "rbm": lambda: RBM(num_hidden=4),
    "ensemble": lambda: BaggedEnsemble(member_args={"hidden_sizes": [4]}, num_members=2, bootstrap=False),
}
IMAGES, LABELS = torch.rand(32, 1, 28, 28), torch.arange(32) % 4

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:The number of training batches")


def make_loader(*tensors: torch.Tensor) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*tensors) if len(tensors) > 1 else tensors[0], batch_size=16)  # type: ignore[arg-type]


def make_trainer(*callbacks: Callback) -> Trainer:
    quiet: dict[str, Any] = dict.fromkeys(
        ("enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    return Trainer(max_epochs=2, accelerator="cpu", logger=False, callbacks=list(callbacks), **quiet)


@pytest.mark.parametrize("name", NETWORKS)
def test_data_of_ones_own_trains_and_is_predicted_with_and_without_labels(name: str) -> None:
    model, loader = NETWORKS[name](), make_loader(IMAGES, LABELS)
    trainer = make_trainer()
    trainer.fit(model, loader, loader)
    assert trainer.global_step == 4
    for given in (loader, make_loader(IMAGES)):
        outputs: Any = make_trainer().predict(model, given)
        assert torch.cat(outputs).shape == (32, 4 if name == "rbm" else 10)
        assert 0 <= float(torch.cat(outputs).min()) <= float(torch.cat(outputs).max()) <= 1


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": IMAGES, "label": LABELS}, "A batch of this data is a dict and not"),
        (([IMAGES], LABELS), "A batch of this data is a tuple and not"),
        ((IMAGES[:, 0], LABELS), r"has the shape \(28, 28\)"),
        (((IMAGES * 255).byte(), LABELS), "of the type torch.uint8"),
        ((IMAGES,), "has no labels"),
        (IMAGES, "has no labels"),
    ],
)
def test_batches_of_another_form_are_refused(name: str, batch: Any, message: str) -> None:
    model = NETWORKS[name]()
    if message == "has no labels":
        check_batch(model, batch, labelled=False)
    with pytest.raises(UsageError, match=message):
        check_batch(model, batch, labelled=True)


def test_a_trainer_refuses_batches_before_the_first_step() -> None:
    examples = [{"image": image, "label": label} for image, label in zip(IMAGES, LABELS, strict=True)]
    loader: DataLoader[Any] = DataLoader(examples, batch_size=16)  # type: ignore[arg-type]
    for verb in ("fit", "validate", "test", "predict"):
        loaders = [loader, loader] if verb == "fit" else [loader]
        with pytest.raises(UsageError, match="A batch of this data is a dict"):
            getattr(make_trainer(), verb)(MLP([8]), *loaders)


@pytest.mark.parametrize("name", NETWORKS)
def test_callbacks_that_need_other_parts_are_refused_in_a_sentence(name: str) -> None:
    loader = make_loader(IMAGES, LABELS)
    with pytest.raises(UsageError, match="BackboneFinetuning needs a network with a part named backbone"):
        make_trainer(BackboneFinetuning()).fit(NETWORKS[name](), loader)
    pruning = make_trainer(ModelPruning("l1_unstructured", amount=0.5))
    if name == "mlp":
        pruning.fit(NETWORKS[name](), loader, loader)
    else:
        with pytest.raises(UsageError, match="ModelPruning needs layers of torch"):
            pruning.fit(NETWORKS[name](), loader)


@pytest.mark.parametrize("name", NETWORKS)
def test_loops_copies_and_transforms_treat_a_network_as_any_other(name: str) -> None:
    model = NETWORKS[name]()
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(IMAGES), LABELS).backward()
    optimizer.step()
    assert not all(map(torch.equal, before, model.parameters()))
    expected = model.eval()(IMAGES)
    assert torch.equal(copy.deepcopy(model)(IMAGES), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(IMAGES), expected)
    other = NETWORKS[name]().eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES), expected)
    called = torch.func.functional_call(NETWORKS[name]().eval(), model.state_dict(), (IMAGES,))
    torch.testing.assert_close(called, expected)
    each = torch.func.vmap(lambda image: model(image.unsqueeze(0))[0], randomness="different")(IMAGES)
    torch.testing.assert_close(each, expected, atol=1e-4, rtol=1e-4)
    assert model.double()(IMAGES.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "expected"),
    [("MLP", "an MLP"), ("RBM", "an RBM"), ("DBN", "a DBN"), ("evil.Network", "an evil.Network"), ("dict", "a dict")],
)
def test_articles_follow_the_sound(name: str, expected: str) -> None:
    assert with_article(name) == expected


def test_batch_norm_is_not_refitted_for_weights_that_are_not_saved() -> None:
    network = MLP([8], batch_norm=True, refit_batch_norm=True)
    with pytest.raises(UsageError, match="EMAWeightAveraging saves an average of weights: leave one of them out"):
        make_trainer(EMAWeightAveraging()).fit(network, make_loader(IMAGES, LABELS))
    make_trainer(EMAWeightAveraging()).test(network, make_loader(IMAGES, LABELS), verbose=False)  # of an older training
