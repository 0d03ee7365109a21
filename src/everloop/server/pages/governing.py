"""What watches over models: policies, and webhooks with what they delivered."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.governance.roles import allows, require
from everloop.registry.policies.entities import Policy
from everloop.registry.webhooks.entities import Delivery, Webhook
from everloop.server.pages.site import Page, Visit

_DELIVERIES = 10


class PoliciesPage(msgspec.Struct, frozen=True):
    """Every policy, that of all models first."""

    policies: Sequence[Policy]


class Hooked(msgspec.Struct, frozen=True):
    """A webhook with the newest of what it delivered."""

    webhook: Webhook
    deliveries: Sequence[Delivery]


class WebhooksPage(msgspec.Struct, frozen=True):
    """Every webhook, for those who may see them."""

    listed: Sequence[Hooked]
    may_see: bool


def policies(visit: Visit) -> Page:
    """The list of policies."""
    found: list[Policy] = visit.ask("models.policies")
    return Page("policies.html", "Policies", PoliciesPage(sorted(found, key=lambda each: each.model)))


def webhooks(visit: Visit) -> Page:
    """The list of webhooks."""
    require(visit.principal, "models:read")
    may_see = allows(visit.principal.roles, "webhooks:govern")
    known: list[Webhook] = visit.ask("webhooks.list") if may_see else []
    listed = [Hooked(each, visit.ask("webhooks.deliveries", id=each.id)[:_DELIVERIES]) for each in known]
    return Page("webhooks.html", "Webhooks", WebhooksPage(listed, may_see))
