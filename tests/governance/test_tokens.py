"""Secrets: what they look like, what is kept of them, and what is remembered of who holds one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.governance.tokens import PREFIX, Authenticator, hash_of, new_secret
from everloop.kernel.errors import Unauthenticated


@pytest.fixture
def secret(platform: Platform) -> str:
    """A token of a reader."""
    platform.call("governance.grant", {"principal": "ann", "roles": ["reader"]})
    made: str = platform.call("tokens.create", {"principal": "ann"}).secret
    return made


def queries(platform: Platform) -> list[str]:
    """The statements that reach the database from now on."""
    seen: list[str] = []
    engine = platform.resources.database.engine
    event.listen(engine, "before_cursor_execute", lambda *call: seen.append(str(call[2])))
    return seen


def test_a_secret_is_recognisable_and_long() -> None:
    secret = new_secret()
    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43


def test_what_is_kept_is_sha256() -> None:
    assert hash_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_known_secret_asks_the_database_once_a_second(platform: Platform, secret: str) -> None:
    door, seen = Authenticator(), queries(platform)
    for _ in range(20):
        door(platform.session(), secret)
    assert len([statement for statement in seen if "FROM tokens" in statement]) == 1


def test_a_wrong_secret_is_not_remembered(platform: Platform, secret: str) -> None:
    door = Authenticator()
    with pytest.raises(Unauthenticated):
        door(platform.session(), "evl_wrong")
    assert door._known == {}


def test_inside_a_unit_of_work_it_joins_it(platform: Platform, secret: str) -> None:
    with platform.session().begin() as unit:
        assert Authenticator()(unit, secret) == Principal("ann", ("reader",))


def test_many_threads_get_the_same_answer(platform: Platform, secret: str) -> None:
    door = Authenticator()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door(platform.session(), secret), range(64)))
    assert set(answers) == {Principal("ann", ("reader",))}


def test_forgetting_looks_up_again(platform: Platform, secret: str) -> None:
    door, seen = Authenticator(), queries(platform)
    door(platform.session(), secret)
    door.forget()
    door(platform.session(), secret)
    assert len([statement for statement in seen if "FROM tokens" in statement]) == 2


def test_an_answer_that_is_sent_again_does_not_keep_the_secret(platform: Platform, secret: str) -> None:
    made = platform.call("tokens.create", {"principal": "ann"}, key="once")
    with platform.session().begin(write=False) as unit:
        dump = "\n".join(unit.connection.connection.iterdump())  # type: ignore[attr-defined]  # sqlite3
    assert made.secret not in dump
