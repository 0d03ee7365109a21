"""The two documents of a run's row: its texts (parameters and tags) and the latest point of each of its metrics."""

from __future__ import annotations

import msgspec

from everloop.tracking.points import Latest


class Texts(msgspec.Struct, frozen=True, array_like=True):
    """The parameters and tags of a run."""

    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}


_encode = msgspec.msgpack.Encoder().encode
_texts = msgspec.msgpack.Decoder(Texts).decode
_latest = msgspec.msgpack.Decoder(dict[str, Latest]).decode
NO_TEXTS = _encode(Texts())
NO_METRICS = _encode({})


def texts_in(document: bytes) -> Texts:
    """The parameters and tags that a document holds."""
    return _texts(document)


def latest_in(document: bytes) -> dict[str, Latest]:
    """The latest point of each metric that a document holds. Costs about 0.3 µs a metric."""
    return _latest(document)


def document_of(content: Texts | dict[str, Latest]) -> bytes:
    """Texts, or latest points by key, as a document."""
    return _encode(content)
