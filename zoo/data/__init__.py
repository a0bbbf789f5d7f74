"""MNIST as it was published, others of its form, and pictures of one's own."""

from zoo.data.image_folder import ImageFolderDataModule
from zoo.data.mnist import MNISTDataModule
from zoo.data.xor import XORDataModule

__all__ = ["ImageFolderDataModule", "MNISTDataModule", "XORDataModule"]
