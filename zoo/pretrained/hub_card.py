"""The model card of a network on the Hugging Face hub."""

from __future__ import annotations

from zoo.pretrained.entries import Entry
from zoo.pretrained.registry import ModelInfo, model_info
from zoo.pretrained.sources import is_checkpoint
from zoo.pretrained.trained_classifier import TrainedClassifier

DATASET = "ylecun/mnist"
"""MNIST on the hub."""


def model_card(source: str, trained: TrainedClassifier, repository: str, *, digits: bool) -> str:
    """Return the card in Markdown, with its metadata in the hub's form.

    A member's card has the metrics of the index. A checkpoint of one's own has none.

    Args:
        source: The member, or the path of the checkpoint.
        trained: The network.
        repository: ``OWNER/REPO``.
        digits: Whether the classes are the ten digits.
    """
    from huggingface_hub import EvalResult, ModelCardData

    info = None if is_checkpoint(source) else model_info(source)
    metrics = info.metrics if info else None
    results = []
    if metrics is not None:
        values = {
            "accuracy": 1 - metrics["test_errors"] / metrics["test_images"],
            "negative_log_likelihood": metrics["nll"],
            "expected_calibration_error": metrics["calibration_error"],
        }
        results = [
            EvalResult(
                task_type="image-classification",
                dataset_type=DATASET,
                dataset_name="MNIST",
                dataset_split="test",
                metric_type=name,
                metric_value=round(value, 6),
            )
            for name, value in values.items()
        ]
    data = ModelCardData(
        model_name=info.name if info else repository.partition("/")[2],
        library_name="mnist-lightning-zoo",
        pipeline_tag="image-classification",
        tags=["mnist", "pytorch-lightning"],
        license=metrics["licence"].lower() if metrics and metrics["licence"].lower() == "mit" else None,
        datasets=[DATASET] if digits else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_text(info, metrics, trained, repository)}"


def _text(info: ModelInfo | None, metrics: Entry | None, trained: TrainedClassifier, repository: str) -> str:
    name = info.name if info else repository.partition("/")[2]
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    lines = [f"# {name}", ""]
    if info is not None:
        lines += [f"{info.description}.", ""]
    lines += [
        f"A `{type(trained.model).__name__}` with {parameters:,} parameters, from the MNIST model zoo on PyTorch "
        "Lightning.",
        "",
        "```python",
        "import zoo",
        "",
        f'model = zoo.load_pretrained("hf:{repository}")  # better with a commit: "hf:{repository}@COMMIT"',
        'images = zoo.preprocess("seven.png").unsqueeze(0)  # float32 (1, 1, 28, 28) in [0, 1]',
        "print(model(images).softmax(1))",
        "```",
        "",
        f"Classes: {', '.join(trained.class_names)}. Logits divided by {trained.temperature} give calibrated "
        "probabilities.",
    ]
    if metrics is not None:
        lines += [
            "",
            f"It makes {metrics['test_errors']:,} errors on MNIST's {metrics['test_images']:,} test images, which were "
            "used for no choice. It is for handwritten digits, centered as in MNIST, and for nothing else.",
        ]
    return "\n".join(lines) + "\n"
