"""Ports: backends by what they can do and by name."""

from __future__ import annotations

from typing import Protocol

import pytest

from everloop.kernel.errors import Misconfigured
from everloop.kernel.events import Event, kind_of
from everloop.kernel.ports import Ports


class Speaker(Protocol):
    def say(self) -> str: ...


class Dog:
    built = 0

    def __init__(self) -> None:
        Dog.built += 1

    def say(self) -> str:
        return "woof"


class Cat:
    def say(self) -> str:
        return "meow"


@pytest.fixture
def ports() -> Ports:
    Dog.built = 0
    found = Ports()
    found.provide(Speaker, Dog, "dog")
    found.provide(Speaker, Cat, "cat")
    found.provide(Speaker, Cat)
    return found


def test_a_backend_is_found_by_port_and_name(ports: Ports) -> None:
    assert ports.get(Speaker, "dog").say() == "woof"
    assert ports.get(Speaker).say() == "meow"


def test_a_backend_is_built_at_its_first_use_and_once(ports: Ports) -> None:
    assert Dog.built == 0
    assert ports.get(Speaker, "dog") is ports.get(Speaker, "dog")
    assert Dog.built == 1
    assert len(list(ports.built())) == 1


def test_what_is_not_there_is_named_with_what_is(ports: Ports) -> None:
    with pytest.raises(Misconfigured, match="no Speaker backend 'fish'") as caught:
        ports.get(Speaker, "fish")
    assert "cat, dog" in caught.value.hint


def test_a_later_offer_replaces_an_earlier_one_even_after_its_use(ports: Ports) -> None:
    ports.get(Speaker)
    ports.provide(Speaker, Dog)
    assert ports.get(Speaker).say() == "woof"


def test_an_event_knows_its_kind() -> None:
    class Happened(Event, frozen=True, kw_only=True, tag="tests.happened"):
        pass

    assert kind_of(Happened(subject="x")) == "tests.happened"


def test_what_was_not_provided_by_name_is_made_of_its_name() -> None:
    ports = Ports()
    ports.provide(Speaker, Cat, "cat")
    ports.provide_by_name(Speaker, lambda name: {"dog": Dog}[name]())
    assert ports.get(Speaker, "dog") is ports.get(Speaker, "dog")
    assert (ports.get(Speaker, "dog").say(), ports.get(Speaker, "cat").say()) == ("woof", "meow")
