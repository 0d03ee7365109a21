"""What stands in a run's JSON: the revision of its code, and the datasets that it used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.store.entities import Digest
from everloop.tracking.entities import CodeRevision

Facts = Mapping[str, str]
DatasetFacts = Callable[[str], Facts]
"""What is known of the dataset that a URN names, by the keys that a search can ask for."""


class _Told(msgspec.Struct, frozen=True):
    name: str = ""
    digest: str = ""


class _Label(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class _Described(msgspec.Struct, frozen=True):
    dataset: _Told = _Told()
    tags: list[_Label] = []


_CONTEXT = "mlflow.data.context"


@lru_cache(maxsize=4_096)
def code_in(document: str) -> CodeRevision:
    """The revision that a run's `code` holds."""
    return msgspec.json.decode(document, type=CodeRevision)


NO_DESCRIPTION = (NotFound, InvalidInput, msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading the description of a dataset ends with where an object is none, or is gone."""


@lru_cache(maxsize=16_384)
def urns_in(document: str) -> tuple[str, ...]:
    """The URNs that a run's `inputs` hold."""
    return msgspec.json.decode(document, type=tuple[str, ...])


def dataset_facts(session: Session) -> DatasetFacts:
    """What the store and the URNs tell of datasets; a description in the store is read once for a search."""
    known: dict[str, Facts] = {}

    def facts(urn: str) -> Facts:
        if urn not in known:
            known[urn] = _facts(session, urn)
        return known[urn]

    return facts


def _facts(session: Session, urn: str) -> Facts:
    try:
        named = parse_urn(urn)
        if named.kind != "object":
            return {"urn": urn, "name": named.name} | ({"version": named.version} if named.version else {})
        described = msgspec.json.decode(session.store.get(Digest(named.name)), type=_Described)
    except NO_DESCRIPTION:
        return {"urn": urn}
    contexts = [label.value for label in described.tags if label.key == _CONTEXT]
    told = {"name": described.dataset.name, "digest": described.dataset.digest, "context": "".join(contexts[:1])}
    return {"urn": urn} | {key: value for key, value in told.items() if value}
