"""Secrets of webhooks: sealed in the catalog with a key that is not in it, and shown nowhere."""

from __future__ import annotations

import hmac
import logging
from base64 import b64encode
from pathlib import Path

import pytest
from sqlalchemy import select, update

from everloop.app.platform import Platform
from everloop.catalog.keyring import KeyRing
from everloop.kernel.errors import Misconfigured
from everloop.registry.webhooks.entities import Tried, Webhook
from everloop.registry.webhooks.tables import webhooks
from tests.registry.webhooks.receiver import Receiver

SECRET = "s3cret-of-the-receiver"


def made(platform: Platform, receiver: Receiver, name: str = "chat", secret: str = SECRET) -> Webhook:
    """A webhook with a secret."""
    given = {"name": name, "url": receiver.url, "events": ["model_version.created"], "secret": secret}
    return platform.call("webhooks.create", given)  # type: ignore[no-any-return]


def kept(platform: Platform, hook: Webhook) -> str:
    """What the catalog holds of a webhook's secret."""
    with platform.session().begin(write=False) as unit:
        return str(unit.scalars(select(webhooks.c.secret).where(webhooks.c.id == hook.id))[0])


def tried(platform: Platform, hook: Webhook) -> Tried:
    """What comes of sending an example."""
    return platform.call("webhooks.test", {"id": hook.id})  # type: ignore[no-any-return]


def signed(receiver: Receiver, secret: str) -> bool:
    """Whether what came last is signed with a secret."""
    headers, body = receiver.got[-1]
    text = b".".join((headers["x-mlflow-delivery-id"].encode(), headers["x-mlflow-timestamp"].encode(), body))
    return headers["x-mlflow-signature"] == f"v1,{b64encode(hmac.digest(secret.encode(), text, 'sha256')).decode()}"


def test_no_file_of_the_home_holds_a_secret(platform: Platform, receiver: Receiver, home: Path) -> None:
    hook = made(platform, receiver)
    platform.call("webhooks.change", {"id": hook.id, "changes": {"secret": SECRET + "2"}})
    tried(platform, hook)
    platform.call("models.create", {"name": "delay"})
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "catalog.db" for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert kept(platform, hook).startswith("sealed:")


def test_no_door_answers_with_a_secret_and_no_log_has_it(
    platform: Platform, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook = made(platform, receiver)
    shown = [hook, tried(platform, hook), platform.call("webhooks.deliveries", {"id": hook.id})]
    shown += [platform.call(name, {}) for name in ("webhooks.list", "audit.entries")]
    assert SECRET not in str(shown) + caplog.text
    assert "sealed:" not in str(shown) + caplog.text


def test_messages_are_signed_with_the_secret_that_was_given_last(platform: Platform, receiver: Receiver) -> None:
    hook = made(platform, receiver)
    assert tried(platform, hook).success
    assert signed(receiver, SECRET)
    platform.call("webhooks.change", {"id": hook.id, "changes": {"secret": "another"}})
    tried(platform, hook)
    assert signed(receiver, "another")
    platform.call("webhooks.change", {"id": hook.id, "changes": {"secret": ""}})
    tried(platform, hook)
    assert "x-mlflow-signature" not in receiver.got[-1].headers


def test_a_sealed_secret_in_another_webhooks_row_is_worth_nothing(platform: Platform, receiver: Receiver) -> None:
    mine, other = made(platform, receiver, "mine", "I-know-this"), made(platform, receiver)
    with platform.session().begin() as unit:
        row = webhooks.c.id == mine.id
        unit.execute(update(webhooks).where(row).values(secret=kept(platform, other)))
    answer = tried(platform, mine)
    assert not answer.success
    assert "changed or belongs elsewhere" in answer.problem
    assert receiver.got == []


def test_nothing_is_sent_unsigned_where_the_key_is_lost(platform: Platform, receiver: Receiver, home: Path) -> None:
    hook = made(platform, receiver)
    (home / "keys" / "secrets.keys").unlink()
    platform.resources.ports.provide(KeyRing, lambda: KeyRing(home / "keys" / "secrets.keys"))
    answer = tried(platform, hook)
    assert (answer.success, receiver.got) == (False, [])
    assert "There is no key" in answer.problem
    assert SECRET not in answer.problem


def test_what_was_never_sealed_is_not_shown_when_it_cannot_be_opened(platform: Platform, receiver: Receiver) -> None:
    hook = made(platform, receiver)
    with platform.session().begin() as unit:
        unit.execute(update(webhooks).where(webhooks.c.id == hook.id).values(secret=SECRET))
    answer = tried(platform, hook)
    assert not answer.success
    assert SECRET not in str(answer)


def test_a_key_that_the_settings_name_goes_before_that_of_the_home(tmp_path: Path) -> None:
    file = tmp_path / "secrets.keys"
    older = KeyRing(file).seal("a", "x")
    given = KeyRing(file, "a key of all our servers")
    sealed = given.seal("b", "x")
    assert (given.open(older, "x"), given.open(sealed, "x")) == ("a", "b")
    assert KeyRing(tmp_path / "elsewhere", "a key of all our servers").open(sealed, "x") == "b"
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(Misconfigured, match="no key"):
        KeyRing(file).open(sealed, "x")


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="can be guessed"):
        KeyRing(tmp_path / "secrets.keys", "short")


def test_a_file_that_begins_with_a_rotation_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets.keys"
    id = KeyRing(file, "a key of all our servers").rotate()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(KeyRing(file).keys()) == [id]


def test_the_file_of_keys_is_for_its_owner_alone(platform: Platform, receiver: Receiver, home: Path) -> None:
    made(platform, receiver)
    assert (home / "keys" / "secrets.keys").stat().st_mode & 0o777 == 0o600
