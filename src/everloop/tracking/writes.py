"""Writes to runs: each is checked by itself and taken whole or not at all, and many share a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.tracking import rows, sealing
from everloop.tracking.entities import Logged, Points, RunAmended, RunLogged
from everloop.tracking.points import Latest, check, later, latest_of, pack
from everloop.tracking.rows import Held
from everloop.tracking.words import check_key, check_text

LONGEST_WRITER = 64
LONGEST_URN = 500
_FIRST_AT, _LAST_AT = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999, in microseconds since 1970."""


class Writes:
    """The writes of one transaction to runs of one project: `read` what they are to, `take` each, `keep` it all."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runs: dict[str, Held] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._moved: dict[tuple[str, str], int] = {}

    def read(self, writes: Iterable[Logged]) -> None:
        """Read the rows that some writes are to, in a statement or two."""
        wanted = list(writes)
        self._runs |= {held.id: held for held in rows.read(self._session, [logged.run for logged in wanted])}
        counted = [logged.run for logged in wanted if logged.writer]
        if counted:
            self._last |= rows.last_sequences(self._session, counted)

    def run(self, id: str) -> Held:
        """A run that was read.

        Raises:
            NotFound: there is none.
        """
        held = self._runs.get(id)
        if held is None:
            raise NotFound(f"There is no run {id[:80]!r}.", hint="everloop runs search lists them.")
        return held

    def take(self, logged: Logged, principal: str) -> None:
        """Take one write, on behalf of somebody: nothing of it where it raises, nothing twice.

        Raises:
            NotFound: there is no such run.
            Conflict: the run has ended or was deleted, or a parameter is there with another value.
            InvalidInput: something in it cannot be kept.
        """
        held = self.run(logged.run)
        who = (logged.run, logged.writer)
        if logged.writer and self._check_writer(logged) <= self._last.get(who, 0):
            return
        check_open(held.id, held.status, held.deleted is not None, amend=logged.amend)
        newest = checked(logged)
        parameters = _fresh_parameters(held, logged.parameters)
        self._put(held, logged, parameters, newest)
        held.writer = principal
        if logged.writer:
            self._last[who] = self._moved[who] = logged.sequence
        self._tell(held, logged, principal)

    def keep(self) -> None:
        """Write what was taken, in the transaction that is open."""
        session, changed = self._session, []
        tails = []
        for held in self._runs.values():
            if held.fresh and sealing.due(held):
                sealing.seal(session.acting(held.writer, session.project), held)
            if held.fresh:
                tails.append(_tail(held))
            if held.changed:
                changed.append(held)
        rows.add_tails(session, tails)
        if changed:
            rows.write(session, changed)
        rows.set_sequences(session, self._moved.items())

    def _check_writer(self, logged: Logged) -> int:
        if len(logged.writer) > LONGEST_WRITER or not logged.writer.isprintable() or not 0 < logged.sequence < 1 << 63:
            raise InvalidInput(
                f"Writer {logged.writer[:80]!r} cannot count to {logged.sequence}.",
                hint=f"A writer is named by up to {LONGEST_WRITER} characters and counts its writes from 1.",
            )
        return logged.sequence

    def _put(self, held: Held, logged: Logged, parameters: Mapping[str, str], newest: Mapping[str, Latest]) -> None:
        """Put into the run that is held what was checked: from here on nothing raises."""
        if parameters or logged.tags:
            held.texts.parameters.update(parameters)
            held.texts.tags.update(logged.tags)
            held.changed = True
        if logged.points is not None and newest:
            for key, latest in newest.items():
                known = held.latest.get(key)
                held.latest[key] = latest if known is None else later(known, latest)
            held.fresh.append(logged.points)
            held.changed = True
        fresh = [urn for urn in dict.fromkeys(logged.inputs) if urn not in held.used] if logged.inputs else []
        if fresh:
            held.inputs = msgspec.json.encode((*held.used, *fresh)).decode()
            held.changed = True
            for urn in fresh:
                link(self._session, self._session.urn("run", held.id), urn, "used")

    def _tell(self, held: Held, logged: Logged, principal: str) -> None:
        """Tell the ledger of texts and inputs, and of whatever comes to a run that has ended.

        Of points it is told when they are sealed: an event a call would cost more than the call.
        """
        ended = held.status != "running"
        if not (ended or logged.parameters or logged.tags or logged.inputs):
            return
        event = (RunAmended if ended else RunLogged)(
            subject=self._session.urn("run", held.id),
            points=len(logged.points or ()),
            parameters=tuple(sorted(logged.parameters)),
            tags=tuple(sorted(logged.tags)),
            inputs=logged.inputs,
        )
        self._session.acting(principal, self._session.project).emit(event)


def write(session: Session, logged: Logged) -> None:
    """Take one write in the transaction of a session, on behalf of its principal; raises as `Writes.take` does."""
    writes = Writes(session)
    writes.read([logged])
    writes.take(logged, session.principal)
    writes.keep()


def check_open(id: str, status: str, deleted: bool, *, amend: bool = False) -> None:
    """Let a run through that can be written to.

    Raises:
        Conflict: it was deleted, or has ended and is not to be amended.
    """
    if deleted:
        raise Conflict(f"Run {id} was deleted, or its experiment was.", hint="Restore it first.")
    if status != "running" and not amend:
        raise Conflict(
            f"Run {id} is {status} and can no longer change.",
            hint="Resume it, or start another with parent=<this run's id>.",
        )


def checked(logged: Logged) -> dict[str, Latest]:
    """The latest point of each key of a write that can be kept.

    Raises:
        InvalidInput: a key, a text, a URN or a time cannot.
    """
    for key, text in (*logged.parameters.items(), *logged.tags.items()):
        check_key(key)
        check_text(key, text)
    for urn in logged.inputs:
        _check_urn(urn)
    if logged.points is None:
        return {}
    check(logged.points)
    for key in logged.points.keys:
        check_key(key)
    newest = latest_of(logged.points)
    _check_times(logged.points, newest)
    return newest


def _check_urn(urn: str) -> None:
    """Refuse what is no URN: whatever shows runs reads those that they used, and one that cannot be read hides all."""
    if len(urn) > LONGEST_URN:
        raise InvalidInput(f"A URN of {len(urn):,} characters is none.", hint=f"Use up to {LONGEST_URN}.")
    check_text("inputs", urn)
    parse_urn(urn)


def _check_times(points: Points, newest: Mapping[str, Latest]) -> None:
    """Refuse times that no calendar has."""
    if len(points) == len(newest):  # Then these are all the points.
        low, high = min((it.at for it in newest.values()), default=0), max((it.at for it in newest.values()), default=0)
    else:
        import numpy as np

        at = np.frombuffer(points.at, "<i8")
        low, high = int(at.min()), int(at.max())
    if low < _FIRST_AT or high > _LAST_AT:
        raise InvalidInput(
            f"A point has the time {low if low < _FIRST_AT else high} µs, which is in no year from 1 to 9999.",
            hint="Send microseconds since 1970.",
        )


def _fresh_parameters(held: Held, parameters: Mapping[str, str]) -> dict[str, str]:
    known = held.texts.parameters if parameters else {}
    for key, text in parameters.items():
        if known.get(key, text) != text:
            raise Conflict(
                f"Parameter {key!r} of run {held.id} is {known[key]!r} and cannot become {text!r}.",
                hint="Parameters are written once: log what changes as a metric or a tag.",
            )
    return {key: text for key, text in parameters.items() if key not in known}


def _tail(held: Held) -> tuple[str, str, int, bytes]:
    segment = b"".join(pack(points) for points in held.fresh)
    number = held.tail_next
    held.tail_next += 1
    held.tail_points += sum(map(len, held.fresh))
    held.tail_bytes += len(segment)
    held.fresh = []
    return held.project, held.id, number, segment
