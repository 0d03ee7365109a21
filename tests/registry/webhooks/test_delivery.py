"""What webhooks are told, and that they are told it at least once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from everloop.app.platform import Platform
from everloop.datasets.remotes.reach import Reach
from everloop.kernel.clock import SimulatedClock, SystemClock
from everloop.registry import service as models
from everloop.registry import tags
from everloop.registry.webhooks.delivery import ATTEMPTS, pause_after
from everloop.registry.webhooks.entities import Webhook
from everloop.registry.webhooks.tables import webhooks
from tests.registry.making import registered
from tests.registry.webhooks.receiver import Receiver, receiving


def deliver(platform: Platform) -> int:
    """Deliver what is due."""
    return int(platform.call("webhooks.deliver", {}))


def register(platform: Platform, times: int = 1) -> None:
    """Register versions of `delay`."""
    for _ in range(times):
        with platform.session().begin() as unit:
            registered(unit)


def outcomes(platform: Platform, hook: Webhook) -> list[str]:
    """How the attempts ended, oldest first."""
    return [one.outcome for one in reversed(platform.call("webhooks.deliveries", {"id": hook.id}))]


@pytest.mark.usefixtures("hook")
def test_a_registration_is_told_in_mlflows_form(platform: Platform, receiver: Receiver) -> None:
    register(platform)
    assert deliver(platform) == 2
    assert receiver.events == ["registered_model.created", "model_version.created"]
    told = receiver.got[1].told
    assert told["data"] == {
        "name": "delay",
        "version": "1",
        "source": "",
        "run_id": "",
        "tags": {},
        "description": "",
    }
    assert told["timestamp"].startswith("2026-01-01T00:00:00")


def test_tags_and_aliases_are_told(platform: Platform, receiver: Receiver, hook: Webhook) -> None:
    register(platform)
    with platform.session().begin() as unit:
        tags.assign(unit, "delay", 1, {"a": "b"})
        tags.remove(unit, "delay", 1, "a")
        tags.assign(unit, "delay", 0, {"team": "core"})
        models.set_alias(unit, "delay", "champion", 1)
        models.delete_alias(unit, "delay", "champion")
    deliver(platform)
    assert receiver.events[2:] == [
        "model_version_tag.set",
        "model_version_tag.deleted",
        "model_version_alias.created",
        "model_version_alias.deleted",
    ]
    assert receiver.got[2].told["data"] == {"name": "delay", "version": "1", "key": "a", "value": "b"}
    assert outcomes(platform, hook) == ["sent"] * 6


@pytest.mark.usefixtures("hook")
def test_prompts_are_told_as_prompts(platform: Platform, receiver: Receiver) -> None:
    with platform.session().begin() as unit:
        models.make(unit, "greeting", noted={"mlflow.prompt.is_prompt": "true", "team": "core"})
        tags.assign(unit, "greeting", 0, {"a": "b"})
    deliver(platform)
    assert receiver.events == ["prompt.created", "prompt_tag.set"]
    assert receiver.got[0].told["data"]["tags"] == {"team": "core"}


def test_the_ledgers_own_kinds_are_told_to_those_who_want_them(platform: Platform, receiver: Receiver) -> None:
    platform.call("webhooks.create", {"name": "own", "url": receiver.url, "events": ["models.approval"]})
    register(platform)
    platform.call("models.approve", {"name": "delay", "version": 1, "decision": "approved", "reason": "good"})
    assert deliver(platform) == 1
    assert receiver.got[0].told["data"]["subject"] == "model:default/delay@1"


@pytest.mark.usefixtures("hook")
def test_a_receiver_can_tell_that_we_sent_it(platform: Platform, receiver: Receiver) -> None:
    register(platform)
    deliver(platform)
    for one in receiver.got:
        signed = f"{one.headers['x-mlflow-delivery-id']}.{one.headers['x-mlflow-timestamp']}.".encode() + one.body
        mark = base64.b64encode(hmac.new(b"s3cret", signed, hashlib.sha256).digest()).decode()
        assert one.headers["x-mlflow-signature"] == f"v1,{mark}"


def test_without_a_secret_nothing_is_signed(platform: Platform, receiver: Receiver) -> None:
    platform.call("webhooks.create", {"name": "a", "url": receiver.url, "events": ["model_version.created"]})
    register(platform)
    deliver(platform)
    assert "x-mlflow-signature" not in receiver.got[0].headers


@pytest.mark.usefixtures("hook")
def test_what_was_told_is_not_told_again(platform: Platform, receiver: Receiver) -> None:
    register(platform)
    assert [deliver(platform), deliver(platform)] == [2, 0]
    register(platform)
    assert deliver(platform) == 1
    assert len({one.headers["x-mlflow-delivery-id"] for one in receiver.got}) == 3


def test_what_was_before_the_webhook_is_not_told(platform: Platform, receiver: Receiver) -> None:
    register(platform)
    platform.call("webhooks.create", {"name": "a", "url": receiver.url, "events": ["model_version.created"]})
    assert deliver(platform) == 0


def test_a_receiver_that_fails_is_asked_again_after_a_while_in_order(
    platform: Platform, receiver: Receiver, hook: Webhook, clock: SimulatedClock
) -> None:
    register(platform)
    receiver.statuses = [500, 302]
    assert [deliver(platform), deliver(platform)] == [0, 0]
    clock.advance(clock.now() + timedelta(seconds=1))
    assert deliver(platform) == 0
    clock.advance(clock.now() + timedelta(seconds=2))
    assert deliver(platform) == 2
    assert outcomes(platform, hook) == ["failed", "failed", "sent", "sent"]
    assert len({one.headers["x-mlflow-delivery-id"] for one in receiver.got}) == 2


def test_an_event_that_never_arrives_is_given_up_and_the_next_one_told(
    platform: Platform, receiver: Receiver, hook: Webhook, clock: SimulatedClock
) -> None:
    register(platform)
    receiver.statuses = [503] * ATTEMPTS
    for attempt in range(1, ATTEMPTS + 1):
        deliver(platform)
        clock.advance(clock.now() + pause_after(attempt))
    assert outcomes(platform, hook)[-2:] == ["given_up", "sent"]
    assert receiver.events[-1] == "model_version.created"


def test_one_receiver_that_is_down_holds_up_no_other(platform: Platform, receiver: Receiver, hook: Webhook) -> None:
    given = {"name": "down", "url": "http://127.0.0.1:1/", "events": ["model_version.created"]}
    down = platform.call("webhooks.create", given)
    register(platform)
    assert deliver(platform) == 2
    (attempt,) = platform.call("webhooks.deliveries", {"id": down.id})
    assert (attempt.outcome, attempt.status) == ("failed", 0)
    assert "ConnectError" in attempt.problem


def test_a_webhook_that_is_off_is_told_nothing_of_that_time(
    platform: Platform, receiver: Receiver, hook: Webhook
) -> None:
    platform.call("webhooks.change", {"id": hook.id, "changes": {"active": False}})
    register(platform)
    assert deliver(platform) == 0
    platform.call("webhooks.change", {"id": hook.id, "changes": {"active": True}})
    register(platform)
    deliver(platform)
    assert [one.told["data"]["version"] for one in receiver.got] == ["2"]


def test_a_private_address_is_judged_at_each_delivery(platform: Platform, receiver: Receiver, hook: Webhook) -> None:
    register(platform)
    platform.resources.ports.provide(Reach, lambda: Reach(private=False))
    assert (deliver(platform), receiver.got) == (0, [])
    (attempt,) = platform.call("webhooks.deliveries", {"id": hook.id})
    assert "no public address" in attempt.problem


def test_a_redirect_is_not_followed(platform: Platform, receiver: Receiver, hook: Webhook) -> None:
    register(platform)
    receiver.statuses = [307]
    deliver(platform)
    assert len(receiver.got) == 1


def test_a_test_sends_an_example_and_tells_what_came_back(
    platform: Platform, receiver: Receiver, hook: Webhook
) -> None:
    tried = platform.call("webhooks.test", {"id": hook.id, "event": "model_version_alias.created"})
    assert (tried.success, tried.status, tried.body) == (True, 200, "ok")
    assert receiver.got[0].told["data"] == {"name": "example_model", "alias": "example_alias", "version": "1"}
    receiver.statuses = [404]
    assert platform.call("webhooks.test", {"id": hook.id}).status == 404
    assert outcomes(platform, hook) == ["sent", "failed"]


def test_an_event_of_another_project_is_not_told(platform: Platform, receiver: Receiver, hook: Webhook) -> None:
    with platform.session(project="other").begin() as unit:
        registered(unit)
    assert deliver(platform) == 0


PROGRAM = """
import sys
from everloop.app.platform import open_platform
from everloop.app.settings import load
platform = open_platform(load({"home": sys.argv[1]}, environment={}))
print("ready", flush=True)
while True:
    platform.call("webhooks.deliver", {})
"""


@pytest.mark.slow
def test_a_killed_deliverer_leaves_no_event_untold(home: Path, platform: Platform) -> None:
    """Kill -9 again and again in the middle of deliveries: each event arrives, and twins have the same id."""
    with receiving() as receiver:
        platform.resources = replace(platform.resources, clock=SystemClock())
        given = {"name": "a", "url": receiver.url, "events": ["model_version.created"]}
        platform.call("webhooks.create", given)
        register(platform, 30)
        while not all_told(receiver):
            running = subprocess.Popen([sys.executable, "-c", PROGRAM, str(home)], stdout=subprocess.PIPE)
            assert running.stdout is not None
            assert running.stdout.readline() == b"ready\n"
            before = len(receiver.got)
            until = time.monotonic() + 90
            while len(receiver.got) < before + 7 and not all_told(receiver) and time.monotonic() < until:
                time.sleep(0.002)
            os.kill(running.pid, signal.SIGKILL)
            running.wait()
            release(platform)
    ids = {one.told["data"]["version"]: one.headers["x-mlflow-delivery-id"] for one in receiver.got}
    assert len({one.headers["x-mlflow-delivery-id"] for one in receiver.got}) == len(ids) == 30


def all_told(receiver: Receiver) -> bool:
    """Whether each of thirty versions has been told."""
    return len({one.told["data"]["version"] for one in list(receiver.got)}) == 30


def release(platform: Platform) -> None:
    """Let the claim of a dead process be over: it would be by itself after a minute."""
    with platform.session().begin() as unit:
        unit.execute(update(webhooks).values(claimed=None))
