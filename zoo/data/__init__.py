"""MNIST as it was published: archives, tensors, batches."""

from zoo.data.mnist import MNISTDataModule
from zoo.data.xor import XORDataModule

__all__ = ["MNISTDataModule", "XORDataModule"]
