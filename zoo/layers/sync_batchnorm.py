"""Synchronized batch norm for distributed training, on GPUs and CPUs."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _AllReduceSum(torch.autograd.Function):
    """The sum of a tensor over all processes, differentiable in the tensor of each process."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # The loss of every process depends on this process's tensor, so the gradients are summed too.
        return _AllReduceSum.forward(ctx, gradients[0])


class AllReducedBatchNorm(_BatchNorm):
    """`torch.nn.SyncBatchNorm` for any device. torch's class refuses tensors on a CPU.

    Mean and variance are those of the batches of all processes together, and gradients flow through them. With equal
    batch sizes, the averaged gradients equal those of a single process with the whole batch, up to rounding.
    """

    original_class: type[_BatchNorm]
    """The layer's class before the conversion."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize ``(B, C, …)`` over all dimensions but the second."""
        if not self.training:  # by each process alone, because the others may have fewer batches
            by_batch, averages = self.running_mean is None, (self.running_mean, self.running_var)
            return F.batch_norm(input, *averages, self.weight, self.bias, training=by_batch, eps=self.eps)
        # Sums in bfloat16 have only two or three significant digits.
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        count = values.new_full((1,), input.numel() / input.shape[1])
        sums = _AllReduceSum.apply(torch.cat([values.sum(dims), count]))  # (C + 1,)
        count = sums[-1].detach()
        mean = (sums[:-1] / count).view(shape)
        centered = values - mean
        variance = _AllReduceSum.apply(centered.square().sum(dims)) / count  # (C,)
        self._update_running_statistics(mean.flatten().detach(), variance.detach(), count)
        output: Tensor = centered * (variance.view(shape) + self.eps).rsqrt()
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if not self.track_running_stats:
            return
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        weight = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, weight)
        # As in torch: the batch is normalized by the biased variance, the running variance is unbiased.
        self.running_var.lerp_(variance * (count / (count - 1).clamp_min(1)), weight)


class SyncBatchNormAnywhere(TorchSyncBatchNorm):
    """Lightning's conversion for ``--trainer.sync_batchnorm true``, with `AllReducedBatchNorm` on every device.

    Lightning converts a model before it moves it to its device, so its device is not known yet.
    """

    def apply(self, model: nn.Module) -> nn.Module:
        """Convert every batch norm layer in ``model`` to a synchronized one, and return the model."""
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                original_class = type(layer)
                _set_class(layer, AllReducedBatchNorm).original_class = original_class
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Convert every batch norm layer in ``model`` back to its original class, and return the model."""
        for layer in model.modules():
            if isinstance(layer, AllReducedBatchNorm):
                _set_class(layer, layer.original_class)
        return model


def _set_class(layer: Any, cls: type[_BatchNorm]) -> Any:
    """Change the class of a layer, keeping its state, and return the layer."""
    layer.__class__ = cls
    return layer
