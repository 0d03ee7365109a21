"""Runs side by side: what differs in parameters, metrics, tags, code, environment and data."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from everloop.catalog.session import Session
from everloop.datasets import service as datasets
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import Json
from everloop.store.entities import Digest
from everloop.tracking.entities import Environment, Run
from everloop.tracking.index.facts import dataset_facts

Aspect = Literal["attribute", "parameter", "metric", "tag", "code", "environment", "package", "data"]
MOST = 100
"""So many runs can be compared at once."""
_LONGEST = 200_000


class Difference(msgspec.Struct, frozen=True):
    """Something that runs have: the value of each of them, in their order, None where one has none."""

    aspect: Aspect
    key: str
    values: list[Json]
    equal: bool = False


class Comparison(msgspec.Struct, frozen=True):
    """Runs side by side.

    `code` has, for each run but the first, how its uncommitted changes differ from those of the first, as a unified
    diff; it is empty where they do not, or are not kept.
    """

    runs: list[str]
    differences: list[Difference]
    code: list[str]


def compare(session: Session, runs: Sequence[Run], *, equal: bool) -> Comparison:
    """What differs between runs; with `equal` also what does not.

    Raises:
        InvalidInput: there are fewer than two of them, or too many.
    """
    if not 2 <= len(runs) <= MOST:
        raise InvalidInput(f"{len(runs)} runs cannot be compared.", hint=f"Name two to {MOST} of them.")
    found = [difference for difference in _everything(session, runs) if equal or not difference.equal]
    texts = [_changes(session, run.code.diff_digest) for run in runs]
    return Comparison([run.id for run in runs], found, [_diff(texts[0], text) for text in texts[1:]])


def _everything(session: Session, runs: Sequence[Run]) -> Iterator[Difference]:
    yield from _side_by_side("attribute", [_attributes(run) for run in runs])
    yield from _side_by_side("parameter", [run.parameters for run in runs])
    yield from _side_by_side("metric", [run.metrics for run in runs])
    yield from _side_by_side("tag", [run.tags for run in runs])
    yield from _side_by_side("code", [msgspec.to_builtins(run.code) for run in runs])
    environments = [_environment(session, run.environment) for run in runs]
    yield from _side_by_side("environment", [_flat(known) for known in environments])
    yield from _side_by_side("package", [known.packages if known else {} for known in environments])
    yield from _side_by_side("data", [_data(session, run.inputs) for run in runs])


def _side_by_side(aspect: Aspect, sides: Sequence[Mapping[str, Json]]) -> Iterator[Difference]:
    for key in sorted({key for side in sides for key in side}):
        values = [side.get(key) for side in sides]
        equal = all(key in side for side in sides) and all(_same(values[0], value) for value in values)
        yield Difference(aspect, key, values, equal)


def _same(one: Json, other: Json) -> bool:
    return one == other or (one != one and other != other)  # NaN is like NaN here.


def _attributes(run: Run) -> dict[str, Json]:
    seconds = (run.ended - run.started).total_seconds() if run.ended else None
    return {"experiment": run.experiment, "name": run.name, "status": run.status, "user": run.user, "seconds": seconds}


def _environment(session: Session, digest: str) -> Environment | None:
    if not digest:
        return None
    try:
        return msgspec.json.decode(session.store.get(Digest(digest)), type=Environment)
    except (NotFound, msgspec.DecodeError):
        return None


def _flat(known: Environment | None) -> dict[str, Json]:
    """An environment without its packages, with its mappings as keys of their own."""
    if known is None:
        return {}
    flat: dict[str, Json] = {}
    for name, value in msgspec.to_builtins(known).items():
        if name == "packages":
            continue
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            flat[name] = value
    return flat


def _data(session: Session, urns: Sequence[str]) -> dict[str, Json]:
    """What a run used, by what it is: each with its version and the digest of its content."""
    facts = dataset_facts(session)
    used: dict[str, list[str]] = {}
    for urn in urns:
        told = facts(urn)
        named = parse_urn(urn)
        name = told.get("name", named.name)
        key = f"dataset:{named.project}/{name}" if named.kind == "object" else f"{named.kind}:{named.project}/{name}"
        digest = told.get("digest") or _digest(session, urn)
        parts = [f"version {named.version}"] if named.version else []
        used.setdefault(key, []).append(", ".join([*parts, *([f"digest {digest}"] if digest else [])]) or "used")
    return {key: "; ".join(versions) for key, versions in used.items()}


def _digest(session: Session, urn: str) -> str:
    """The digest of a version of a dataset of this project, where it is known."""
    named = parse_urn(urn)
    if named.kind not in ("dataset", "snapshot") or named.project != session.project or not named.version.isdecimal():
        return ""
    try:
        return datasets.get(session, named.name, int(named.version)).digest
    except NotFound:
        return ""


def _changes(session: Session, digest: str) -> str:
    """The uncommitted changes that were kept of a run's code."""
    if not digest:
        return ""
    try:
        return session.store.get(Digest(digest)).decode(errors="replace")[:_LONGEST]
    except NotFound:
        return ""


def _diff(one: str, other: str) -> str:
    lines = difflib.unified_diff(one.splitlines(), other.splitlines(), "first", "this", lineterm="")
    return "\n".join(lines)
