"""The memo: what each step gave, by a key over everything that it used."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import bindparam, delete, select

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError
from everloop.pipelines import values
from everloop.pipelines.declare import Step
from everloop.pipelines.fingerprint import fingerprint
from everloop.pipelines.tables import memo
from everloop.store.entities import Digest
from everloop.tracking.entities import Artifact, MetricPoint
from everloop.tracking.recording import Recording

VERSION = "1"
"""Part of every key: raise it when keys or stored values change their meaning."""
LARGE = 64 << 10
"""Outputs whose text is longer than this many characters are kept in the store."""
_RECALL = select(memo).where(memo.c.project == bindparam("project"), memo.c.key == bindparam("key"))
_DIGEST = re.compile(r'"([0-9a-f]{64})"')


class Logged(msgspec.Struct, frozen=True):
    """What a step logged while it ran, so that a remembered step logs it again."""

    metrics: tuple[MetricPoint, ...] = ()
    parameters: dict[str, str] = {}
    artifacts: tuple[Artifact, ...] = ()
    tags: dict[str, str] = {}


class Remembered(msgspec.Struct, frozen=True):
    """What the memo keeps of a step: its output as text, the output's digest, what it logged, and who executed it."""

    key: str
    step: str
    execution: str
    output: str
    output_digest: str
    objects: tuple[str, ...]
    logged: str
    at: datetime


def code_key(step: Step[..., object]) -> str:
    """The digest of a step's name and code with everything that the code reaches."""
    return fingerprint(VERSION, sys.implementation.name, sys.version_info[:2], step.target, step.function)


def memo_key(code: str, arguments: Mapping[str, object]) -> str:
    """The key of a call: the step's code and its arguments by name.

    Raises:
        InvalidInput: an argument is of a kind that cannot be told from others of its kind.
    """
    return fingerprint(code, dict(arguments), strict=True)


def seed_of(key: str) -> int:
    """The seed of a step's randomness: 31 bits of its memo key."""
    return int(key[:8], 16) & 0x7FFFFFFF


def recall(session: Session, key: str) -> Remembered | None:
    """What the memo has under a key."""
    with session.begin(write=False) as unit:
        row = unit.connection.execute(_RECALL, {"project": unit.project, "key": key}).first()
    return None if row is None else Remembered(**{name: row._mapping[name] for name in Remembered.__struct_fields__})


def output_of(session: Session, remembered: Remembered) -> object:
    """The value that the step gave.

    Raises:
        LookupError: it can no longer be read: its bytes are gone, or a class of it is.
    """
    try:
        return values.decode(_whole(session, remembered.output), session.store)
    except (EverloopError, ImportError, AttributeError, TypeError, ValueError, KeyError) as error:
        raise LookupError(str(error)) from error


def remember(unit: Session, kept: Remembered) -> None:
    """Put an output into the memo, in this unit of work. What was there under the key is replaced."""
    unit.execute(delete(memo).where(memo.c.project == unit.project, memo.c.key == kept.key))
    unit.insert(memo, kept)


def kept_output(session: Session, value: object) -> tuple[str, Digest, tuple[str, ...]]:
    """An output as the memo keeps it: its text (or the text's address), its digest, and the store's objects in it."""
    text = values.encode(value, session.store)
    objects = tuple(sorted(set(_DIGEST.findall(text))))
    digest = values.digest(text)
    if len(text) <= LARGE:
        return text, digest, objects
    address = session.store.put(text.encode())
    return f"@{address}", digest, (*objects, address)


def logged_text(of: Recording) -> str:
    """What a step logged, as the memo keeps it."""
    logged = Logged(tuple(of.metrics), of.parameters, tuple(of.artifacts), of.tags)
    return "" if logged == Logged() else msgspec.json.encode(logged).decode()


def logged_of(remembered: Remembered) -> Logged:
    """What a remembered step logged when it ran."""
    return msgspec.json.decode(remembered.logged, type=Logged) if remembered.logged else Logged()


def _whole(session: Session, output: str) -> str:
    return session.store.get(Digest(output[1:])).decode() if output.startswith("@") else output
