"""The score that says how little a picture looks like a digit."""

from __future__ import annotations

import pytest
import torch

import zoo
from tests.no_digit import catch, hearts, images_of, letters, noise
from zoo.inference.digit_check import FALSE_ALARMS, DigitCheck, covers, read_settings
from zoo.inference.ensemble import Committee


@pytest.fixture(scope="module")
def committee() -> Committee:
    return Committee()


@pytest.mark.slow
def test_one_test_image_in_a_hundred_is_doubted(committee: Committee) -> None:
    images = images_of("test")
    verdict = DigitCheck()(images, committee.predict(images).probabilities)
    assert float((verdict.scores > verdict.limit).double().mean()) <= 0.01


@pytest.mark.slow
def test_limit_is_that_of_the_validation_images(committee: Committee) -> None:
    images = images_of("validation")
    scores = DigitCheck()(images, committee.predict(images).probabilities).scores
    assert float((scores > read_settings().limit).double().mean()) == pytest.approx(FALSE_ALARMS, abs=0.001)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_is_no_digit_is_caught_as_often_as_the_measurements_say(committee: Committee) -> None:
    """``docs/data/no_digit.json`` has the shares; with 20 and 30 pictures they vary by ten points."""
    check = DigitCheck()
    assert catch(noise(20), committee, check).share >= 0.3
    assert catch(hearts(30), committee, check).share >= 0.1  # filled ones; outlines look like a 0 or a 9
    assert catch(letters(), committee, check).share >= 0.4


def test_score_does_not_depend_on_the_other_pictures(committee: Committee) -> None:
    images = images_of("validation")[:7]
    check = DigitCheck()
    together = check(images, committee.predict(images).probabilities).scores
    alone = torch.cat([check(image[None], committee.predict(image[None]).probabilities).scores for image in images])
    assert torch.allclose(together, alone, atol=1e-2)


def test_settings_are_those_of_the_committee_of_all_members() -> None:
    names = zoo.list_models(pretrained=True)
    assert covers(names)
    assert covers(names[::-1])
    assert not covers(names[1:])
