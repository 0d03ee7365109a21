"""What webhooks are about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.usecase import Json

MLFLOW_EVENTS = (
    "registered_model.created",
    "model_version.created",
    "model_version_tag.set",
    "model_version_tag.deleted",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "prompt.created",
    "prompt_version.created",
    "prompt_tag.set",
    "prompt_tag.deleted",
    "prompt_version_tag.set",
    "prompt_version_tag.deleted",
    "prompt_alias.created",
    "prompt_alias.deleted",
)
"""The events that MLflow's webhooks know; beside them a webhook takes kinds of the ledger's that begin `models.`."""
Outcome = Literal["sent", "failed", "given_up"]


class Webhook(msgspec.Struct, frozen=True):
    """Where events of a project go. `signed` says that there is a secret, which is never shown."""

    id: str
    name: str
    url: str
    events: tuple[str, ...]
    description: str
    active: bool
    signed: bool
    created: datetime
    updated: datetime


class Changes(msgspec.Struct, frozen=True):
    """What is to be another in a webhook; None leaves it as it is."""

    name: str | None = None
    url: str | None = None
    events: tuple[str, ...] | None = None
    description: str | None = None
    secret: str | None = None
    active: bool | None = None


class Message(msgspec.Struct, frozen=True):
    """What is told of one event: MLflow's body, and an id that stays the same when it is sent again."""

    id: str
    event: str
    at: datetime
    data: dict[str, Json]

    @property
    def body(self) -> bytes:
        """The body as it travels."""
        entity, _, action = self.event.partition(".")
        told = {"entity": entity, "action": action, "timestamp": self.at.isoformat(), "data": self.data}
        return msgspec.json.encode(told)


class Delivery(msgspec.Struct, frozen=True):
    """An attempt to deliver: how it ended, with the status of the answer (0 for none) or what went wrong."""

    webhook: str
    number: int
    message: str
    event: str
    outcome: Outcome
    attempt: int
    status: int
    problem: str
    at: datetime


class Tried(msgspec.Struct, frozen=True):
    """What a receiver answered to a test, or why it could not be reached."""

    success: bool
    status: int = 0
    body: str = ""
    problem: str = ""


class WebhookMade(Event, frozen=True, kw_only=True, tag="webhooks.created"):
    """A webhook was made; the URL is told without what may be secret in it."""

    url: str
    events: tuple[str, ...]


class WebhookChanged(Event, frozen=True, kw_only=True, tag="webhooks.changed"):
    """A webhook is another."""

    url: str
    events: tuple[str, ...]
    active: bool


class WebhookDeleted(Event, frozen=True, kw_only=True, tag="webhooks.deleted"):
    """A webhook is gone."""
