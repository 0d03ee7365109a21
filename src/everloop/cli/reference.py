"""How a model version is named on the command line: `delay`, `delay@3`, `delay@champion`, `models:/delay@champion`."""

from __future__ import annotations

import re

import msgspec

from everloop.kernel.errors import InvalidInput

_REFERENCE = re.compile(r"(?:models:/)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:[@/](?P<which>[A-Za-z0-9._-]+))?")


class Reference(msgspec.Struct, frozen=True):
    """A model, and which of its versions: by number, by alias, or (neither) the newest."""

    name: str
    version: int = 0
    alias: str = ""


def reference(text: str) -> Reference:
    """What a text names.

    >>> reference("delay@champion")
    Reference(name='delay', version=0, alias='champion')
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} names no model version.", hint="Write MODEL, MODEL@3 or MODEL@champion.")
    which = match["which"] or ""
    return Reference(match["name"], int(which)) if which.isdecimal() else Reference(match["name"], alias=which)
