"""What one can say about models and versions: tags, descriptions, another title, another text of the card."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import update

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, Refused
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.registry import rows
from everloop.registry import service as registry
from everloop.registry import tags as noted
from everloop.registry.entities import ModelDescribed, ModelRenamed, RegisteredModel
from everloop.registry.notes import revisions
from everloop.registry.notes.entities import CardRevised, CardRevision
from everloop.registry.notes.tables import cards
from everloop.registry.policies import rules
from everloop.registry.tables import models, versions
from everloop.store.service import digest_of

LONGEST_TITLE = 256
_LONGEST_TEXT = 200_000
_DIRECTIONS = range(0x2066, 0x206A), range(0x202A, 0x202F), range(0x200B, 0x2010), range(0xFEFF, 0xFF00)
"""Characters that turn the direction of a text, or cannot be seen."""


@usecase("models.set_tags", permission="models:write", route="PUT /models/{name}/tags")
def set_tags(session: Session, name: Name, tags: Mapping[str, str], version: int = 0) -> dict[str, str]:
    """Set tags of a model, or of one of its versions; gives all of its tags."""
    _existing(session, name, version)
    noted.assign(session, name, version, tags)
    return _tags(session, name, version)


@usecase("models.delete_tag", permission="models:write", route="DELETE /models/{name}/tags")
def delete_tag(session: Session, name: Name, key: str, version: int = 0) -> dict[str, str]:
    """Take a tag of a model, or of one of its versions, away; gives those that are left."""
    _existing(session, name, version)
    noted.remove(session, name, version, key)
    return _tags(session, name, version)


@usecase("models.tags", permission="models:read", route="GET /models/{name}/tags")
def tags(session: Session, name: Name, version: int = 0) -> dict[str, str]:
    """The tags of a model, or of one of its versions."""
    _existing(session, name, version)
    return _tags(session, name, version)


@usecase("models.describe", permission="models:write", route="PUT /models/{name}/description")
def describe(session: Session, name: Name, description: str, version: int = 0) -> str:
    """Give a model, or one of its versions, another description, in Markdown."""
    _existing(session, name, version)
    _check_text(description)
    now = session.clock.now()
    if version:
        here = rows.of(session, versions, name, version)
        session.execute(update(versions).where(here).values(note=description, updated=now))
    else:
        session.execute(update(models).where(rows.named(session, name)).values(description=description, updated=now))
    session.emit(ModelDescribed(subject=session.urn("model", name, version or ""), description=description))
    return description


@usecase("models.rename", permission="models:write", route="PUT /models/{name}/title")
def rename(session: Session, name: Name, title: str) -> RegisteredModel:
    """Call a model something else. Its name stays what it is: URNs, packages and the ledger spell it.

    Refused while the model has a policy of its own: another model of the old title would be without it.
    """
    known = registry.get(session, name)
    check_title(title)
    policy = rules.policy_of(session, name)
    if policy is not None and policy.model and title != known.called:
        raise Refused(
            f"{known.called!r} has a policy of its own, which stays with the name {name!r}.",
            hint=f"An owner can delete the policy, and set it again after that: models delete-policy --model {name}.",
        )
    other = rows.called(session, title)
    if other is not None and other.name != name:
        raise Conflict(f"There is a model {title!r} already.", hint="Choose another title.")
    now = session.clock.now()
    renamed = msgspec.structs.replace(known, title="" if title == name else title, updated=now)
    session.execute(update(models).where(rows.named(session, name)).values(title=renamed.title, updated=now))
    session.execute(update(versions).where(rows.of(session, versions, name)).values(updated=now))
    session.emit(ModelRenamed(subject=session.urn("model", name), before=known.called, after=title))
    return renamed


@usecase("models.revise_card", permission="models:write", route="PUT /models/{name}/versions/{version}/card")
def revise_card(session: Session, name: Name, version: int, text: str, reason: str) -> CardRevision:
    """Give a version's card another text, as a new revision: the earlier ones stay, and so does the version."""
    _existing(session, name, version)
    _check_text(text)
    if version < 1 or not text.strip() or not reason.strip():
        raise InvalidInput("A revision needs a version, a text and a reason.", hint="Say in a sentence what changed.")
    before = revisions.known(session, name, version)
    number = before[0].revision + 1 if before else 1
    made = CardRevision(name, version, number, text, session.principal, reason, session.clock.now())
    session.insert(cards, made)
    digest = digest_of(text.encode())
    urn = session.urn("model", name, version)
    session.emit(CardRevised(subject=urn, version=version, revision=number, text=digest, reason=reason))
    return made


@usecase(
    "models.card_revisions", permission="models:read", route="GET /models/{name}/versions/{version}/card/revisions"
)
def card_revisions(session: Session, name: Name, version: int) -> list[CardRevision]:
    """The later texts of a version's card, newest first."""
    _existing(session, name, version)
    return revisions.known(session, name, version)


def check_title(title: str) -> None:
    """Let a title through that can be told from others when it is read.

    Raises:
        InvalidInput: it is empty, too long, or has characters that cannot be seen or that mean something in URIs.
    """
    hidden = not title.isprintable() or any(ord(letter) in unseen for letter in title for unseen in _DIRECTIONS)
    if not title.strip() or title != title.strip() or len(title) > LONGEST_TITLE or hidden or set(title) & set("/:"):
        raise InvalidInput(
            f"{title[:80]!r} cannot be what a model is called.",
            hint=f"Use 1 to {LONGEST_TITLE} characters that can be seen, without / and :.",
        )


def _existing(session: Session, name: str, version: int) -> None:
    if version:
        registry.version(session, name, version)
    else:
        registry.get(session, name)


def _tags(session: Session, name: str, version: int) -> dict[str, str]:
    return dict(noted.known(session, name).get((name, version), {}))


def _check_text(text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"The text has {len(text):,} characters.", hint=f"Up to {_LONGEST_TEXT:,} are kept.")
