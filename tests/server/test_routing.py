"""Which use case a path names."""

from __future__ import annotations

from copy import copy
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app import areas
from everloop.kernel.usecase import UseCase, published
from everloop.server.routing import Routes

areas.load_all()
EVERY = list(published().values())
ROUTES = Routes(EVERY)
values = st.text(st.characters(codec="utf-8"), min_size=1)


def sent(usecase: UseCase, given: dict[str, str]) -> str:
    """A use case's path as a client sends it."""
    return usecase.path.format(**{name: quote(value, safe="") for name, value in given.items()})


@pytest.mark.parametrize("usecase", EVERY, ids=lambda usecase: usecase.name)
def test_every_use_case_is_found_at_its_path(usecase: UseCase) -> None:
    given = {name: f"some {name}" for name in usecase.path_parameters}
    found, parameters = ROUTES.at(sent(usecase, given))[usecase.method]
    assert (found.name, parameters) == (usecase.name, given)


@given(values, values)
def test_a_value_arrives_as_it_was_sent_slashes_and_all(model: str, alias: str) -> None:
    wanted = {"name": model, "alias": alias}
    found, parameters = ROUTES.at(sent(published()["models.set_alias"], wanted))["PUT"]
    assert (found.name, parameters) == ("models.set_alias", wanted)


@pytest.mark.parametrize("path", ["/", "/nothing", "/models/a/b/c/d/e/f", "/modelsx"])
def test_a_path_that_nobody_published_names_nothing(path: str) -> None:
    assert ROUTES.at(path) == {}


def test_a_slash_at_the_end_changes_nothing() -> None:
    assert ROUTES.at("/models/").keys() == ROUTES.at("/models").keys() != set()


def test_two_use_cases_may_not_share_a_route() -> None:
    first, twin = published()["models.get"], copy(published()["datasets.get"])
    twin.path = first.path
    with pytest.raises(ValueError, match="have the same route"):
        Routes([first, twin])
