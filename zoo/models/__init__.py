"""LightningModules, one file for each family of networks."""

from zoo.models.bagging import BaggedEnsemble
from zoo.models.base import ZooModule
from zoo.models.classifier import Classifier
from zoo.models.cnn import CNN
from zoo.models.dbn import DBN
from zoo.models.generative_dbn import GenerativeDBN
from zoo.models.mlp import MLP
from zoo.models.rbm import RBM
from zoo.models.recurrent import RecurrentNet
from zoo.models.residual import ResidualCNN, ResidualMLP
from zoo.models.softmax import SoftmaxRegression
from zoo.models.split_merge import SplitMerge, SplitMergeCNN
from zoo.models.xor import XORNet

__all__ = [
    "CNN",
    "DBN",
    "MLP",
    "RBM",
    "BaggedEnsemble",
    "Classifier",
    "GenerativeDBN",
    "RecurrentNet",
    "ResidualCNN",
    "ResidualMLP",
    "SoftmaxRegression",
    "SplitMerge",
    "SplitMergeCNN",
    "XORNet",
    "ZooModule",
]
