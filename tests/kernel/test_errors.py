"""Errors say what happened and what to do, and mean the same at each end."""

from __future__ import annotations

import msgspec
import pytest

from everloop.kernel import errors
from everloop.kernel.errors import Conflict, EverloopError, NotFound, Problem, TooLarge, error_of

FAMILY = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, EverloopError)]


def test_an_error_reads_as_what_happened_and_what_to_do() -> None:
    error = NotFound("There is no model 'x'.", hint="everloop models list shows what there is.")
    assert str(error) == "There is no model 'x'. everloop models list shows what there is."
    assert str(NotFound("There is no model 'x'.")) == "There is no model 'x'."


def test_a_doors_own_kind_of_an_error_arrives_as_what_it_is_a_kind_of() -> None:
    class Taken(Conflict):
        """A conflict that some door words in its own way."""

    assert type(error_of(Taken("It is there.").problem)) is Conflict


@pytest.mark.parametrize("kind", FAMILY)
def test_an_error_travels_and_arrives_as_the_same_class(kind: type[EverloopError]) -> None:
    sent = msgspec.json.encode(kind("What happened.", hint="What to do.").problem)
    received = error_of(msgspec.json.decode(sent, type=Problem))
    assert type(received) is kind
    assert (received.message, received.hint) == ("What happened.", "What to do.")


def test_a_code_that_is_unknown_here_is_still_an_error() -> None:
    assert type(error_of(Problem("from_the_future", "What happened."))) is EverloopError


def test_codes_are_all_different() -> None:
    assert len({kind.code for kind in FAMILY}) == len(FAMILY)


@pytest.mark.parametrize("kind", FAMILY)
def test_status_and_exit_code_are_those_of_a_failure(kind: type[EverloopError]) -> None:
    assert 400 <= kind.status < 600
    assert 1 <= kind.exit_code < 64


def test_what_can_be_handled_alike_is_one_family() -> None:
    assert issubclass(TooLarge, errors.InvalidInput)
    assert (TooLarge.status, TooLarge.exit_code) == (413, errors.InvalidInput.exit_code)
