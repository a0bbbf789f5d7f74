"""Batch norm over the batch of all processes, on CPUs too."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes, through which gradients flow back to each of them."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Each process's loss depends on the sum, and so on every summand.
        return _Sum.forward(ctx, gradients[0])


class CPUSyncBatchNorm(_BatchNorm):
    """`torch.nn.SyncBatchNorm` for tensors on a CPU, which torch's own refuses, as `DistributedDataParallel` does.

    Mean and variance are those of all processes' batches together, and gradients flow through them: with equal
    batches, averaged gradients are those of a single process with the whole batch, up to rounding.
    """

    plain_class: type[_BatchNorm]
    """What the layer was before it was made to synchronize."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize ``(B, C, …)`` over all dimensions but the second."""
        if not self.training:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        # Sums in bfloat16 would keep two or three digits.
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        dims = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        count = torch.full((1,), input.numel() / input.shape[1])
        sums = _Sum.apply(torch.cat([values.sum(dims), count]))  # (C + 1,)
        count = sums[-1].detach()
        mean = (sums[:-1] / count).view(shape)
        centred = values - mean
        variance = _Sum.apply(centred.square().sum(dims)) / count  # (C,)
        self._update_running_statistics(mean.flatten().detach(), variance.detach(), float(count))
        output: Tensor = centred * (variance.view(shape) + self.eps).rsqrt()
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output.to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: float) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        weight = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, weight)
        # As torch has it: normalized by the biased variance, remembered as the unbiased one.
        self.running_var.lerp_(variance * count / max(count - 1, 1), weight)


class SyncBatchNormAnywhere(TorchSyncBatchNorm):
    """What ``--trainer.sync_batchnorm true`` does: Lightning's conversion, with `CPUSyncBatchNorm` on a CPU."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Make every batch norm in ``model`` synchronize, and return it."""
        if not _on_cpu(model):
            return super().apply(model)
        for layer in model.modules():
            if isinstance(layer, _BatchNorm):
                plain = type(layer)
                _become(layer, CPUSyncBatchNorm).plain_class = plain
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Make every batch norm in ``model`` what it was, and return it."""
        if not _on_cpu(model):
            return super().revert(model)
        for layer in model.modules():
            if isinstance(layer, CPUSyncBatchNorm):
                _become(layer, layer.plain_class)
        return model


def _on_cpu(model: nn.Module) -> bool:
    return all(parameter.device.type == "cpu" for parameter in model.parameters())


def _become(layer: Any, cls: type[_BatchNorm]) -> Any:
    """Give a layer another forward, leave it its state, and return it."""
    layer.__class__ = cls
    return layer
