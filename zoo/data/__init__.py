"""Data modules: MNIST and data sets in its format, image folders, and XOR."""

from zoo.data.image_folder import ImageFolderDataModule
from zoo.data.mnist import MNISTDataModule
from zoo.data.xor import XORDataModule

__all__ = ["ImageFolderDataModule", "MNISTDataModule", "XORDataModule"]
