"""The callback of ``zoo predict``, which writes the predicted probabilities to a CSV file and draws a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from zoo.utils.errors import UsageError
from zoo.utils.files import atomic_path, check_output
from zoo.utils.pictures import save_figure
from zoo.utils.printable import printable
from zoo.utils.wording import counted

TABLE_MARKER = "index,label,prediction,p"
"""The begin of the header line, by which a table of predictions is known: programs that read it know no comments."""
SUBMISSION_MARKER = "ImageId,Label"
"""The header line of Kaggle's submission form."""


class PredictionWriter(Callback):
    """Write ``predictions.csv`` and ``predictions.png`` after a prediction, and print a summary.

    The CSV file has one row per image, in the order of the data set: its index, label, prediction and the probability
    of each class. Classes are given by name, and the label is empty where the data has none. Images that were read from
    files have another column with the path.

    Args:
        output_dir: Folder for both files.
        seed: Seed for the random choice of the images in the picture.
        indices: Indices of the images to show in the picture, and to print the predictions of, instead of a random
            choice.
        count: Number of images to choose, 1 to 100.
        submission: Whether to write ``submission.csv`` as well, in Kaggle's form: ``ImageId``, counted from 1, and
            ``Label``, the prediction.

    Raises:
        UsageError: ``count`` or an index is out of range, or the folder cannot be written.
    """

    def __init__(
        self,
        output_dir: str = "predictions",
        seed: int = 0,
        indices: list[int] | None = None,
        count: int = 25,
        submission: bool = False,
    ) -> None:
        if not 1 <= count <= 100:
            raise UsageError(f"count is {count}, but a picture shows 1 to 100 images.")
        if not 0 <= seed < 2**63:
            raise UsageError(f"seed is {seed}, but a seed is 0 to {2**63 - 1}.")
        self.output_dir = Path(output_dir).expanduser()
        self.seed = seed
        self.indices = indices
        self.count = count
        self.submission = submission
        self._batches: list[tuple[Tensor, ...]] = []
        self._table = self.output_dir / "predictions.csv"
        self._picture = self.output_dir / "predictions.png"
        self._submission = self.output_dir / "submission.csv"
        check_output(self._table, TABLE_MARKER)
        check_output(self._picture)
        if submission:
            check_output(self._submission, SUBMISSION_MARKER)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store the batch's probabilities with its images, labels and indices."""
        images, labels, indices = batch
        pixels = (images * 255).round().to(torch.uint8)
        self._batches.append(tuple(tensor.cpu() for tensor in (indices, labels, outputs, pixels)))

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the predictions of all processes, sort them by index and write them."""
        own = tuple(torch.cat(column) for column in zip(*self._batches, strict=True))
        self._batches.clear()
        gathered: list[Any] = [own]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, own)
        if not trainer.is_global_zero:
            return
        indices, labels, probabilities, images = (torch.cat(column) for column in zip(*gathered, strict=True))
        order = indices.argsort()
        data = getattr(trainer, "datamodule", None)
        names = list(getattr(data, "class_names", map(str, range(probabilities.shape[1]))))
        self._write(
            indices[order], labels[order], probabilities[order], images[order], names, getattr(data, "files", [])
        )

    def _write(
        self,
        indices: Tensor,
        labels: Tensor,
        probabilities: Tensor,
        images: Tensor,
        names: Sequence[str],
        files: Sequence[Path],
    ) -> None:
        chosen = self._choose(indices)
        predictions = probabilities.argmax(dim=1)
        with (
            atomic_path(self._table, TABLE_MARKER) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            writer = csv.writer(file)
            file_header = ["file"] if files else []
            writer.writerow(["index", "label", "prediction", *(f"p{name}" for name in names), *file_header])
            for index, label, prediction, row in zip(
                indices.tolist(), labels.tolist(), predictions.tolist(), probabilities.tolist(), strict=True
            ):
                file_cell = [files[index]] if files else []
                name = names[label] if label >= 0 else ""
                writer.writerow([index, name, names[prediction], *(f"{p:.8g}" for p in row), *file_cell])
        if self.submission:
            self._write_submission(indices, predictions, names)
        draw_grid(images[chosen], indices[chosen], labels[chosen], predictions[chosen], names, self._picture)
        is_labelled = bool((labels >= 0).all())
        wrong = (predictions != labels) & (labels >= 0)
        result = f"{counted(int(wrong.sum()), 'error')}, accuracy {1 - wrong.double().mean():.4f}"
        print(f"{counted(len(labels), 'image')}, {result if is_labelled else 'without labels'}")
        if self.indices is not None:
            for position in chosen.tolist():
                label, prediction = _name(names, labels[position]), _name(names, predictions[position])
                probability = float(probabilities[position].max())
                print(f"Image {int(indices[position])}: Label {label}, Prediction {prediction} ({probability:.3f})")
        if wrong.any():
            pairs, counts = torch.stack([labels, predictions])[:, wrong].unique(dim=1, return_counts=True)
            (label, prediction), count = pairs[:, counts.argmax()].tolist(), int(counts.max())
            print(printable(f"Most often:    a {names[label]} taken for a {names[prediction]}, {count} times"))
        print(f"Probabilities: {printable(self._table)}")
        if self.submission:
            print(f"Submission:    {printable(self._submission)}")
        print(f"Picture:       {printable(self._picture)}")

    def _write_submission(self, indices: Tensor, predictions: Tensor, names: Sequence[str]) -> None:
        with (
            atomic_path(self._submission, SUBMISSION_MARKER) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.write(f"{SUBMISSION_MARKER}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows(
                [index + 1, names[each]] for index, each in zip(indices.tolist(), predictions.tolist(), strict=True)
            )

    def _choose(self, indices: Tensor) -> Tensor:
        if self.indices is None:
            generator = torch.Generator().manual_seed(self.seed)
            return torch.randperm(len(indices), generator=generator)[: self.count].sort().values
        positions = {index: position for position, index in enumerate(indices.tolist())}
        unknown = [index for index in self.indices if index not in positions]
        if unknown or not self.indices:
            raise UsageError(f"indices is {self.indices}, but images are numbered 0 to {len(indices) - 1}.")
        return torch.tensor([positions[index] for index in self.indices])


def draw_grid(
    images: Tensor, indices: Tensor, labels: Tensor, predictions: Tensor, names: Sequence[str], path: Path
) -> None:
    """Draw a grid of images titled "label → prediction", the errors with a red frame and a cross in the title.

    Args:
        images: uint8 ``(N, 1, 28, 28)``.
        indices: int64 ``(N,)``, shown below the images.
        labels: int64 ``(N,)``, −1 where there is none.
        predictions: int64 ``(N,)``.
        names: The class names.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(5, len(images)) if len(images) <= 25 else 10
    rows = -(-len(images) // columns)
    size = (max(3.8, 1.5 * columns), 1.95 * rows + 0.4)  # inches; at least the width of the title
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.1))
    wrong = int(((labels != predictions) & (labels >= 0)).sum())
    summary = f": {wrong} of these {len(labels)} wrong" if len(labels) > 1 and bool((labels >= 0).all()) else ""
    figure.suptitle(f"label → prediction{summary}", fontsize=11)
    for position, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set(xticks=[], yticks=[])
        if position >= len(images):
            axes.set_axis_off()
            continue
        label, prediction = (printable(_name(names, classes[position])) for classes in (labels, predictions))
        # Long names do not fit on one line.
        arrow = " → " if len(label) + len(prediction) < 10 else "\n→ "
        title_size = 10 if len(arrow) == 3 and len(label) < 5 else 8
        axes.imshow(images[position, 0].numpy(), cmap="gray_r", vmin=0, vmax=255)
        axes.set_xlabel(f"image {int(indices[position])}", fontsize=7, color="0.4", labelpad=2)
        if label == prediction or labels[position] < 0:
            axes.set_title(f"{label}{arrow}{prediction}", fontsize=title_size)
            axes.spines[:].set_color("0.8")
        else:
            axes.set_title(f"✗ {label}{arrow}{prediction}", fontsize=title_size, color="#b30000", weight="bold")
            axes.spines[:].set(color="#b30000", linewidth=2.5)
    save_figure(figure, path, dpi=110)


def _name(names: Sequence[str], label: Tensor) -> str:
    return names[int(label)] if label >= 0 else "?"
