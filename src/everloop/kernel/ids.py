"""Ids and URNs: how things are named together."""

from __future__ import annotations

import re
from datetime import datetime
from random import Random
from typing import Annotated

import msgspec

from everloop.kernel.clock import micros
from everloop.kernel.errors import InvalidInput

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$(?!\n)"
Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
"""A name that a person gives: a letter or digit, then up to 127 letters, digits, dots, dashes and underscores."""

_URN = re.compile(r"(?P<kind>[a-z][a-z_]*):(?P<project>[A-Za-z0-9._-]+)/(?P<name>[^@\s]+?)(?:@(?P<version>[^@\s]+))?")


class Urn(msgspec.Struct, frozen=True, order=True):
    """`kind:project/name@version`, used wherever things of several kinds are named together."""

    kind: str
    project: str
    name: str
    version: str = ""

    def __str__(self) -> str:
        tail = f"@{self.version}" if self.version else ""
        return f"{self.kind}:{self.project}/{self.name}{tail}"


def parse_urn(text: str) -> Urn:
    """The URN that a text spells.

    >>> parse_urn("model:default/delay@3").version
    '3'
    """
    match = _URN.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"{text!r} is not a URN.", hint="Write kind:project/name@version, such as model:default/delay@3."
        )
    return Urn(match["kind"], match["project"], match["name"], match["version"] or "")


def new_id(at: datetime, random: Random) -> str:
    """32 hexadecimal digits that sort by time: 48 bits of milliseconds, then 80 random ones (the layout of UUIDv7)."""
    return f"{micros(at) // 1000:012x}{random.getrandbits(80):020x}"
