"""Splits and their proofs in words, as reports of models tell them; and the split that a version is a part of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.app.platform import Platform
from everloop.datasets.entities import Snapshot
from everloop.datasets.splits import sentences
from everloop.datasets.splits.entities import GroupedSplit, RandomSplit, TimeSplit
from everloop.datasets.splits.service import split_of, split_with
from everloop.kernel.errors import NotFound
from tests.datasets.splits.conftest import NOON, split


def test_a_part_is_told_with_what_it_is_of_and_how_that_was_cut(platform: Platform, source: Snapshot) -> None:
    made = split(platform, RandomSplit(), seed=3)
    assert sentences.told(made, "test") == f"test of rides@1, split {made.id} (random, seed 3)"


def test_what_parts_share_is_told_in_numbers(platform: Platform, source: Snapshot) -> None:
    made = split(platform, GroupedSplit(by=("driver",)), seed=3)
    told = sentences.proved(made, "train", "test")
    assert told == sentences.proved(made, "test", "train")
    assert told == "0 of 155 and 45 rows shared; 0 of 14 and 4 values of driver shared"


def test_parts_by_time_are_told_with_the_moments_between_them(platform: Platform, source: Snapshot) -> None:
    made = split(platform, TimeSplit(column="at", at=(NOON + timedelta(hours=100),)))
    first, second = (part.name for part in made.parts)
    assert "the first known by 2013-03-05 15:00, the second from 2013-03-05 16:00 UTC on" in sentences.proved(
        made, first, second
    )


def test_of_parts_that_were_not_compared_nothing_is_told(platform: Platform, source: Snapshot) -> None:
    assert sentences.proved(split(platform, RandomSplit()), "train", "train") == ""


def test_a_part_leads_to_its_split(platform: Platform, source: Snapshot) -> None:
    made = split(platform, RandomSplit(), seed=3)
    session = platform.session()
    assert split_with(session, "dataset:default/rides.test@1") == (made, "test")
    assert split_of(session, made.id) == made


@pytest.mark.parametrize("what", ["dataset:default/rides@1", "dataset:default/none@1", "model:default/late@1"])
def test_what_is_no_part_leads_to_none(platform: Platform, source: Snapshot, what: str) -> None:
    split(platform, RandomSplit(), seed=3)
    assert split_with(platform.session(), what) is None


def test_a_split_that_was_never_made_is_not_found(platform: Platform) -> None:
    with pytest.raises(NotFound, match="no split 'x'"):
        split_of(platform.session(), "x")
