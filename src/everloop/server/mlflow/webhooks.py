"""Webhooks for MLflow's clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.webhooks.entities import MLFLOW_EVENTS, Changes, Tried, Webhook
from everloop.server.mlflow import paging
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint

Status = Literal["ACTIVE", "DISABLED"]
_MOST = 1000


class Event(msgspec.Struct, frozen=True):
    """What a webhook is told of."""

    entity: str = ""
    action: str = ""

    @property
    def name(self) -> str:
        """Our name for it."""
        return f"{self.entity}.{self.action}".lower()


class Create(msgspec.Struct, frozen=True):
    """A new webhook."""

    name: str = ""
    url: str = ""
    events: list[Event] = []
    description: str = ""
    secret: str = ""
    status: Status = "ACTIVE"


class List(msgspec.Struct, frozen=True):
    """A page of webhooks."""

    max_results: int = 100
    page_token: str = ""


class ById(msgspec.Struct, frozen=True):
    """A webhook."""

    webhook_id: str


class Update(ById, frozen=True):
    """What is to be another in a webhook."""

    name: str | None = None
    url: str = ""
    events: list[Event] = []
    description: str = ""
    secret: str = ""
    status: Status | None = None


class Try(ById, frozen=True):
    """An event to send an example of."""

    event: Event | None = None


@endpoint("POST webhooks")
def create(caller: Caller, request: Create) -> Answer:
    """Have events told to a URL."""
    made: Webhook = caller.call(
        "webhooks.create",
        name=request.name,
        url=request.url,
        events=_names(request.events),
        description=request.description,
        secret=request.secret,
    )
    if request.status == "DISABLED":
        made = caller.call("webhooks.change", id=made.id, changes=Changes(active=False))
    return {"webhook": _shown(made)}


@endpoint("GET webhooks")
def list_all(caller: Caller, request: List) -> Answer:
    """The webhooks, oldest first."""
    if not 1 <= request.max_results <= _MOST:
        raise InvalidInput(f"max_results must be between 1 and {_MOST}, not {request.max_results}.")
    known: Sequence[Webhook] = caller.call("webhooks.list")
    page, token = paging.page(known, request.page_token, request.max_results)
    shown: list[Json] = [_shown(webhook) for webhook in page]
    return {"webhooks": shown} | ({"next_page_token": token} if token else {})


@endpoint("GET webhooks/{webhook_id}")
def get(caller: Caller, request: ById) -> Answer:
    """A webhook."""
    return {"webhook": _shown(caller.call("webhooks.get", id=request.webhook_id))}


@endpoint("PATCH webhooks/{webhook_id}")
def update(caller: Caller, request: Update) -> Answer:
    """Change a webhook."""
    changes = Changes(
        name=request.name,
        url=request.url or None,
        events=_names(request.events) if request.events else None,
        description=request.description or None,
        secret=request.secret or None,
        active=None if request.status is None else request.status == "ACTIVE",
    )
    return {"webhook": _shown(caller.call("webhooks.change", id=request.webhook_id, changes=changes))}


@endpoint("DELETE webhooks/{webhook_id}")
def delete(caller: Caller, request: ById) -> Answer:
    """Delete a webhook."""
    caller.call("webhooks.delete", id=request.webhook_id)
    return {}


@endpoint("POST webhooks/{webhook_id}/test")
def try_out(caller: Caller, request: Try) -> Answer:
    """Send an example, and tell what came back."""
    event = request.event.name if request.event else ""
    tried: Tried = caller.call("webhooks.test", id=request.webhook_id, event=event)
    told: dict[str, Json] = {"success": tried.success, "response_status": tried.status, "response_body": tried.body}
    return {"result": told | {"error_message": tried.problem}}


def _names(events: Sequence[Event]) -> tuple[str, ...]:
    wrong = next((event for event in events if event.name not in MLFLOW_EVENTS), None)
    if wrong is not None:
        raise InvalidInput(f"Invalid action {wrong.action[:40]!r} for entity {wrong.entity[:40]!r}.")
    return tuple(event.name for event in events)


def _shown(webhook: Webhook) -> Answer:
    events: list[Json] = []
    for name in webhook.events:
        entity, _, action = name.upper().partition(".")
        events += [{"entity": entity, "action": action}] if name in MLFLOW_EVENTS else []
    return {
        "webhook_id": webhook.id,
        "name": webhook.name,
        "description": webhook.description,
        "url": webhook.url,
        "events": events,
        "status": "ACTIVE" if webhook.active else "DISABLED",
        "creation_timestamp": micros(webhook.created) // 1000,
        "last_updated_timestamp": micros(webhook.updated) // 1000,
    }
