"""MNIST as it was published: archives, tensors, batches."""

from zoo.data.mnist import MNISTDataModule

__all__ = ["MNISTDataModule"]
