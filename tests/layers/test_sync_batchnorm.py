"""Synchronized batch norm in a single process equals torch's batch norm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.layers.sync_batchnorm import SyncBatchNormAnywhere


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_it_matches_torch_in_every_precision(
    dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total)
    torch.manual_seed(0)
    # The mean is ten standard deviations, which sums in bfloat16 would not resolve.
    inputs = (torch.randn(100, 5, dtype=torch.float64) + 10).to(dtype)
    parameter_dtype = torch.float64 if dtype == torch.float64 else torch.float32
    plain, synchronized = nn.BatchNorm1d(5, dtype=parameter_dtype), nn.BatchNorm1d(5, dtype=parameter_dtype)
    SyncBatchNormAnywhere().apply(synchronized)
    expected, output = plain(inputs), synchronized(inputs)
    assert output.dtype == expected.dtype == dtype
    torch.testing.assert_close(output, expected, atol=tolerance, rtol=tolerance)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(synchronized.state_dict()[name], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("track", [True, False])
def test_evaluation_is_torch_s_and_waits_for_no_other_process(track: bool) -> None:
    plain, synchronized = (nn.BatchNorm1d(5, track_running_stats=track).eval() for _ in range(2))
    SyncBatchNormAnywhere().apply(synchronized)
    inputs = torch.randn(20, 5)
    assert torch.equal(synchronized(inputs), plain(inputs))  # without a process group, a collective call would fail
