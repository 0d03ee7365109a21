"""What one can do with webhooks: make, change, test and delete them, and see what was delivered."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, delete, select, update

from everloop.catalog.session import Session
from everloop.datasets.remotes.reach import Reach
from everloop.kernel.errors import InvalidInput, PermissionDenied
from everloop.kernel.usecase import usecase
from everloop.registry.webhooks import delivery, messages, sealing
from everloop.registry.webhooks.entities import (
    MLFLOW_EVENTS,
    Changes,
    Delivery,
    Tried,
    Webhook,
    WebhookChanged,
    WebhookDeleted,
    WebhookMade,
)
from everloop.registry.webhooks.post import post
from everloop.registry.webhooks.tables import webhook_deliveries, webhooks

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_KIND = re.compile(r"models\.[a-z_]{1,64}")
_LONGEST_URL = 2_000
_LONGEST_SECRET = 1_000


@usecase("webhooks.create", permission="webhooks:govern", route="POST /webhooks", secret=True)
def create(
    session: Session, name: str, url: str, events: tuple[str, ...], description: str = "", secret: str = ""
) -> Webhook:
    """Have events told to a URL from now on, signed where there is a secret, which is kept and never shown.

    `events` are MLflow's, such as `model_version.created`, or kinds of the ledger's, such as `models.approval`.
    """
    given = Changes(name, url, events, description, secret, True)
    _check(session, given)
    now = session.clock.now()
    made = Webhook(session.new_id(), name, url, tuple(dict.fromkeys(events)), description, True, bool(secret), now, now)
    fields = {field: getattr(made, field) for field in Webhook.__struct_fields__}
    sealed = sealing.sealed(session, made.id, secret)
    fields |= {"secret": sealed, "told": delivery.head(session), "attempts": 0, "due": None, "claimed": None}
    session.insert(webhooks, fields)
    session.emit(WebhookMade(subject=session.urn("webhook", made.id), url=_shown(url), events=made.events))
    return made


@usecase("webhooks.list", permission="webhooks:govern", route="GET /webhooks")
def list_webhooks(session: Session) -> list[Webhook]:
    """The webhooks of the project, oldest first."""
    query = select(*_COLUMNS).where(webhooks.c.project == session.project).order_by(webhooks.c.id)
    return session.all(Webhook, query)


@usecase("webhooks.get", permission="webhooks:govern", route="GET /webhooks/{id}")
def get(session: Session, id: str) -> Webhook:
    """A webhook by its id."""
    return session.one(
        Webhook,
        select(*_COLUMNS).where(_is(session, id)),
        f"Webhook with ID {id[:80]} not found.",
        "See webhooks list.",
    )


@usecase("webhooks.change", permission="webhooks:govern", route="PATCH /webhooks/{id}", secret=True)
def change(session: Session, id: str, changes: Changes) -> Webhook:
    """Change a webhook. One that was switched off is told only what happens after it is switched on again."""
    before = get(session, id)
    _check(session, changes)
    values = {name: getattr(changes, name) for name in Changes.__struct_fields__ if getattr(changes, name) is not None}
    if changes.active and not before.active:
        values |= {"told": delivery.head(session), "attempts": 0}
    if changes.secret is not None:
        values["secret"] = sealing.sealed(session, id, changes.secret)
    values |= {"updated": session.clock.now(), "due": None}
    session.execute(update(webhooks).where(_is(session, id)).values(values))
    known = get(session, id)
    urn = session.urn("webhook", id)
    session.emit(WebhookChanged(subject=urn, url=_shown(known.url), events=known.events, active=known.active))
    return known


@usecase("webhooks.delete", permission="webhooks:govern", route="DELETE /webhooks/{id}")
def delete_webhook(session: Session, id: str) -> Webhook:
    """Delete a webhook with its log, and give what it was."""
    known = get(session, id)
    log = webhook_deliveries
    session.execute(delete(log).where(log.c.project == session.project, log.c.webhook == id))
    session.execute(delete(webhooks).where(_is(session, id)))
    session.emit(WebhookDeleted(subject=session.urn("webhook", id)))
    return known


@usecase("webhooks.test", permission="webhooks:govern", route="POST /webhooks/{id}/test", long=True)
def try_out(session: Session, id: str, event: str = "") -> Tried:
    """Send an example of an event (of the webhook's first, unless one is named), and see what comes back."""
    with session.begin(write=False) as unit:
        known = get(unit, id)
        (sealed,) = unit.scalars(select(webhooks.c.secret).where(_is(unit, id)))
    _check_events((event or known.events[0],))
    message = messages.example(session, event or known.events[0])
    tried = post(session, id, known.url, message, sealed)
    with session.begin() as unit:
        delivery.record(unit, id, message, tried, "sent" if tried.success else "failed", 1)
    return tried


@usecase("webhooks.deliveries", permission="webhooks:govern", route="GET /webhooks/{id}/deliveries")
def deliveries(session: Session, id: str, limit: int = 100) -> list[Delivery]:
    """The latest attempts to deliver to a webhook, newest first."""
    get(session, id)
    log = webhook_deliveries
    mine = and_(log.c.project == session.project, log.c.webhook == id)
    limit = max(0, min(limit, delivery.KEPT))
    return session.all(Delivery, select(log).where(mine).order_by(log.c.number.desc()).limit(limit))


@usecase("webhooks.deliver", permission="webhooks:govern", route="POST /webhook-deliveries", long=True)
def deliver(session: Session) -> int:
    """Deliver what is due now, as the server does by itself every second; how many messages arrived."""
    return delivery.deliver(session)


_COLUMNS = (
    *(column for column in webhooks.c if column.name in Webhook.__struct_fields__),
    (webhooks.c.secret != "").label("signed"),
)


def _check(session: Session, given: Changes) -> None:
    if given.name is not None and _NAME.fullmatch(given.name) is None:
        raise InvalidInput(
            f"Webhook name {given.name[:80]!r} is invalid. It must start and end with a letter or digit, be at most 63 "
            "characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        )
    if given.url is not None:
        _check_url(session, given.url)
    if given.events is not None:
        _check_events(given.events)
    if len(given.secret or "") > _LONGEST_SECRET:
        raise InvalidInput(f"A secret has up to {_LONGEST_SECRET} characters.")


def _check_url(session: Session, url: str) -> None:
    """Refuse what is no URL of a receiver, or names a private address; other names are judged at each delivery."""
    if not url.strip():
        raise InvalidInput(f"Webhook URL cannot be empty or just whitespace: {url!r}")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise InvalidInput(f"Invalid webhook URL {url[:200]!r}: {error}") from None
    if parts.scheme and parts.scheme not in ("http", "https"):
        raise InvalidInput(f"Invalid webhook URL scheme: {parts.scheme!r}.", hint="Write https://host/path.")
    if (
        not parts.scheme
        or not host
        or len(url) > _LONGEST_URL
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise InvalidInput(f"Invalid webhook URL {url[:200]!r}.", hint="Write https://host/path.")
    if host == "localhost" or _is_address(host):
        try:
            session.ports.get(Reach).address(host, parts.port or 443)
        except PermissionDenied as error:
            raise InvalidInput(error.message, hint=error.hint) from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_events(events: tuple[str, ...]) -> None:
    if not events:
        raise InvalidInput("Webhook events must be a non-empty list of WebhookEvent objects: [].")
    wrong = next((event for event in events if event not in MLFLOW_EVENTS and _KIND.fullmatch(event) is None), None)
    if wrong is not None:
        raise InvalidInput(
            f"There is no event {wrong[:80]!r}.", hint=f"There are {', '.join(MLFLOW_EVENTS)}, and models.<kind>."
        )


def _shown(url: str) -> str:
    """The URL without its path and password, which often hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _is(session: Session, id: str) -> ColumnElement[bool]:
    return and_(webhooks.c.project == session.project, webhooks.c.id == id)
