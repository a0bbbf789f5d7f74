from __future__ import annotations

import pytest

from zoo.data.sampler import ExactSampler


def shares(size: int, ranks: int, *, shuffle: bool, equal: bool, epoch: int = 0) -> list[list[int]]:
    samplers = [
        ExactSampler(size, shuffle=shuffle, num_replicas=ranks, rank=rank, equal_shares=equal) for rank in range(ranks)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    result = [list(sampler) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(share) for share in result]
    return result


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [1, 5, 103, 10_000])
def test_evaluation_sees_every_example_exactly_once(size: int, ranks: int) -> None:
    seen = [index for share in shares(size, ranks, shuffle=False, equal=False) for index in share]
    assert sorted(seen) == list(range(size))


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_training_gives_equal_shares_without_repetition(ranks: int) -> None:
    result = shares(103, ranks, shuffle=True, equal=True)
    seen = [index for share in result for index in share]
    assert {len(share) for share in result} == {103 // ranks}
    assert len(set(seen)) == len(seen) == 103 - 103 % ranks


@pytest.mark.parametrize("ranks", [2, 5])
def test_a_step_of_all_ranks_sees_the_batch_of_a_single_process(ranks: int) -> None:
    batch = 10
    (whole,) = shares(100, 1, shuffle=True, equal=True, epoch=3)
    parts = shares(100, ranks, shuffle=True, equal=True, epoch=3)
    own = batch // ranks
    for step in range(10):
        together = {index for part in parts for index in part[step * own : (step + 1) * own]}
        assert together == set(whole[step * batch : (step + 1) * batch])


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = ExactSampler(1000, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    # In torch's DistributedSampler, seed 0 in epoch 1 has the same order as seed 1 in epoch 0.
    orders = [tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


def test_resume_skips_the_examples_already_seen() -> None:
    sampler = ExactSampler(100, shuffle=True, seed=5)
    sampler.set_epoch(4)
    whole = list(sampler)
    sampler.resume(4, 30)
    assert list(sampler) == whole[30:]
    assert len(sampler) == 100  # of the whole epoch, because Lightning counts the skipped batches
    sampler.set_epoch(5)
    assert len(list(sampler)) == 100
