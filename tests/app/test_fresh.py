"""Calling a use case in a process of its own."""

from __future__ import annotations

import msgspec
import pytest

from everloop.app.fresh import FreshProcesses
from everloop.app.platform import Platform
from everloop.datasets.entities import Dataset
from everloop.kernel.errors import NotFound, Unavailable

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(platform: Platform) -> FreshProcesses:
    """Fresh processes on the test's platform."""
    return FreshProcesses(platform.settings.values)


def test_it_answers_from_the_same_home(platform: Platform, fresh: FreshProcesses) -> None:
    digest = platform.resources.store.put(b"a\n1\n")
    platform.call("datasets.commit", {"name": "numbers", "digest": digest, "format": "csv"})
    answer = fresh.call("default", "datasets.list", {}, {})
    assert [one.name for one in msgspec.json.decode(answer, type=list[Dataset])] == ["numbers"]


def test_it_works_in_the_project_that_is_named(platform: Platform, fresh: FreshProcesses) -> None:
    digest = platform.resources.store.put(b"a\n1\n")
    platform.call("datasets.commit", {"name": "numbers", "digest": digest, "format": "csv"})
    assert fresh.call("elsewhere", "datasets.list", {}, {}) == b"[]"


def test_what_goes_wrong_there_is_raised_here(fresh: FreshProcesses) -> None:
    with pytest.raises(NotFound, match="no dataset 'ghost'"):
        fresh.call("default", "datasets.get", {"name": "ghost"}, {})


def test_variables_are_set_before_it_starts(fresh: FreshProcesses) -> None:
    with pytest.raises(Unavailable, match="ended with 1"):
        fresh.call("default", "datasets.list", {}, {"PYTHONHASHSEED": "no number"})
