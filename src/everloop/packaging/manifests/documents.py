"""Plain data as YAML: the same text for the same data, in the order in which it was built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import yaml

Document = Mapping[str, Any]
"""What a YAML document holds. `Any` because each kind of manifest has a shape of its own."""


def written(*documents: Document) -> str:
    """The documents as one stream."""
    return "---\n".join(_text(document) for document in documents)


def without_empty(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs that hold something; a 0 does."""
    return {name: value for name, value in pairs if value not in ("", None, [], {})}


def _text(document: Document) -> str:
    # A copy has nothing twice: YAML would write what is in two places once, and refer to it from the other.
    copied = msgspec.json.decode(msgspec.json.encode(document))
    return str(yaml.safe_dump(copied, sort_keys=False, allow_unicode=True, width=120))
