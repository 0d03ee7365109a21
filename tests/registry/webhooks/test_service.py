"""Webhooks as they are made, changed and deleted."""

from __future__ import annotations

import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.datasets.remotes.reach import Reach
from everloop.governance.entities import Principal
from everloop.kernel.errors import InvalidInput, NotFound, PermissionDenied
from everloop.registry.webhooks.entities import Webhook

GIVEN = {"name": "chat", "url": "https://example.com/hook?key=abc", "events": ["model_version.created"]}


def made(platform: Platform, **other: object) -> Webhook:
    """A webhook."""
    return platform.call("webhooks.create", GIVEN | other)  # type: ignore[no-any-return]


def test_a_secret_is_kept_and_never_shown(platform: Platform) -> None:
    hook = made(platform, secret="s3cret")
    shown = msgspec.json.encode([hook, platform.call("webhooks.list", {}), platform.call("audit.entries", {})])
    assert hook.signed
    assert b"s3cret" not in shown
    assert platform.call("webhooks.get", {"id": hook.id}) == hook


def test_the_ledger_tells_where_a_webhook_goes_without_what_may_be_secret(platform: Platform) -> None:
    made(platform)
    (entry,) = platform.call("audit.entries", {"kind": "webhooks."})
    assert entry.event["url"] == "https://example.com"


def test_a_webhook_is_changed_in_what_is_named_only(platform: Platform) -> None:
    hook = made(platform, description="to us", secret="a")
    changed = platform.call("webhooks.change", {"id": hook.id, "changes": {"name": "talk", "active": False}})
    assert changed == msgspec.structs.replace(hook, name="talk", active=False, updated=changed.updated)


def test_a_deleted_webhook_is_gone(platform: Platform) -> None:
    hook = made(platform)
    assert platform.call("webhooks.delete", {"id": hook.id}) == hook
    with pytest.raises(NotFound, match=f"Webhook with ID {hook.id} not found"):
        platform.call("webhooks.get", {"id": hook.id})
    assert platform.call("webhooks.list", {}) == []


def test_webhooks_of_another_project_are_not_seen(platform: Platform) -> None:
    hook = made(platform)
    assert platform.call("webhooks.list", {}, project="other") == []
    with pytest.raises(NotFound):
        platform.call("webhooks.delete", {"id": hook.id}, project="other")


def test_only_owners_govern_webhooks(platform: Platform) -> None:
    deployer = Principal("dan", ("deployer",))
    with pytest.raises(PermissionDenied):
        platform.call("webhooks.create", GIVEN, principal=deployer)
    with pytest.raises(PermissionDenied):
        platform.call("webhooks.list", {}, principal=deployer)


@pytest.mark.parametrize("name", ["", " ", "a/b", "-a", "a-", "a" * 64, "a\u200bb", "<script>"])
def test_a_name_that_cannot_be_is_refused(platform: Platform, name: str) -> None:
    with pytest.raises(InvalidInput, match="is invalid"):
        made(platform, name=name)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "cannot be empty"),
        ("   ", "cannot be empty"),
        ("example.com/hook", "Invalid webhook URL"),
        ("ftp://example.com", "Invalid webhook URL scheme"),
        ("file:///etc/passwd", "Invalid webhook URL scheme"),
        ("http://[half", "Invalid webhook URL"),
        ("http://host:port", "Invalid webhook URL"),
        ("http:///path", "Invalid webhook URL"),
        ("http://a b", "Invalid webhook URL"),
        ("http://example.com/\r\nX: y", "Invalid webhook URL"),
        ("https://" + "a" * 2_000, "Invalid webhook URL"),
    ],
)
def test_what_is_no_url_of_a_receiver_is_refused(platform: Platform, url: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        made(platform, url=url)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"]
)
def test_a_server_is_not_led_into_its_own_network(platform: Platform, host: str) -> None:
    platform.resources.ports.provide(Reach, lambda: Reach(private=False))
    with pytest.raises(InvalidInput, match="no public address"):
        made(platform, url=f"http://{host}:8080/hook")


@pytest.mark.parametrize("events", [[], ["model_version.deleted"], ["runs.created"], ["models."], [""]])
def test_only_events_that_there_are_can_be_wanted(platform: Platform, events: list[str]) -> None:
    with pytest.raises(InvalidInput, match="event"):
        made(platform, events=events)
