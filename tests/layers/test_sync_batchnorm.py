"""Batch norm over all processes, here a single one, is torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.layers.sync_batchnorm import SyncBatchNormAnywhere


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_it_is_torch_s_in_every_precision(
    dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total)
    torch.manual_seed(0)
    # A mean of ten deviations, which sums in bfloat16 would miss.
    inputs = (torch.randn(100, 5, dtype=torch.float64) + 10).to(dtype)
    kept = torch.float64 if dtype == torch.float64 else torch.float32
    plain, synchronized = nn.BatchNorm1d(5, dtype=kept), nn.BatchNorm1d(5, dtype=kept)
    SyncBatchNormAnywhere().apply(synchronized)
    expected, found = plain(inputs), synchronized(inputs)
    assert found.dtype == expected.dtype == dtype
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(synchronized.state_dict()[name], value, atol=1e-4, rtol=1e-4)
