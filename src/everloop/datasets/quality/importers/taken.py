"""What an importer hands back, and how it keeps account of what it could not take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ParamSpec

import msgspec

from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.suites.entities import NotTaken
from everloop.datasets.quality.yamltext import Document, read_yaml
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

P = ParamSpec("P")
Object = dict[str, Json]
"""A mapping out of a foreign file."""
_UNKNOWN_TO_RUST = re.compile(r"(?<!\\)(?:\\\\)*(\(\?<?[=!]|\(\?P=|\(\?\(|\(\?>|\\[1-9]|\\g<|[*+?}]\+)")


class Taken(msgspec.Struct, frozen=True):
    """What was taken of a foreign suite, and what was not."""

    expectations: tuple[Expectation, ...]
    not_taken: tuple[NotTaken, ...] = ()
    notes: tuple[str, ...] = ()


class Untaken(Exception):
    """A part of a foreign suite has no equal here; the message says why. Importers list it."""


@dataclass
class Account:
    """What an importer has taken so far."""

    expectations: list[Expectation] = field(default_factory=list)
    not_taken: list[NotTaken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, what: str, make: Callable[P, Iterable[Expectation]], *args: P.args, **kwargs: P.kwargs) -> None:
        """Take what a part means, or list it with the reason why not."""
        try:
            made = [checked(one) for one in make(*args, **kwargs)]
        except Untaken as reason:
            self.refuse(what, str(reason))
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.ValidationError) as error:
            self.refuse(what, f"it is not as it should be ({type(error).__name__}: {error})")
        else:
            self.expectations += made

    def refuse(self, what: str, reason: str) -> None:
        """List a part that has no equal here."""
        self.not_taken.append(NotTaken(what, reason))

    def note(self, sentence: str) -> None:
        """Say where something that was taken means a little more or less here; once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def taken(self) -> Taken:
        """All of it; what was expected twice is expected once."""
        different = {msgspec.json.encode(one): one for one in self.expectations}
        return Taken(tuple(different.values()), tuple(self.not_taken), tuple(self.notes))


def checked(expectation: Expectation) -> Expectation:
    """An expectation whose fields are of the types that they say, as foreign files are not always.

    Raises:
        Untaken: they are not.
    """
    try:
        plain = msgspec.to_builtins(expectation)
        made: Expectation = msgspec.convert(plain, type(expectation))
    except (msgspec.ValidationError, TypeError) as error:
        raise Untaken(f"a value is not as it should be ({error})") from None
    return made


def document_of(text: str, what: str) -> Document:
    """A foreign file, JSON or YAML, whose top is a mapping.

    Raises:
        InvalidInput: it is not.
    """
    if text.lstrip().startswith("{"):
        try:
            return Document(msgspec.json.decode(text), text, {}, {})
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            pass  # Read as YAML it has lines, for the error.
    document = read_yaml(text)
    if not isinstance(document.value, dict):
        raise InvalidInput(f"The file is no {what}.", hint="Choose its format: pandera, great_expectations, dbt, odcs.")
    return document


def below(held: Object, key: str) -> Object:
    """The mapping under a key, or an empty one."""
    value = held.get(key)
    return value if isinstance(value, dict) else {}


def mapping(value: Json, what: str) -> Object:
    """A value that must be a mapping.

    Raises:
        Untaken: it is not.
    """
    if not isinstance(value, dict):
        raise Untaken(f"{what} is not a mapping")
    return value


def listing(value: Json) -> list[Json]:
    """A list, a single value as a list of one, nothing as an empty one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def search(pattern: Json) -> str:
    """A pattern that the whole text matches where the given one is found somewhere.

    Raises:
        Untaken: it uses what only Python's expressions have.
    """
    return f"(?s:.*)(?:{portable(pattern)})(?s:.*)"


def starting(pattern: Json) -> str:
    """A pattern that the whole text matches where the given one matches its start."""
    return f"(?:{portable(pattern)})(?s:.*)"


def portable(pattern: Json) -> str:
    """A regular expression of Python's as it is written here.

    Raises:
        Untaken: it looks around, refers back or is possessive, which would not take linear time.
    """
    text = str(pattern)
    found = _UNKNOWN_TO_RUST.search(text)
    if found is not None:
        raise Untaken(f"the pattern {text!r} uses {found[1]}, which regular expressions do not have here")
    return re.sub(r"(?<!\\)((?:\\\\)*)\\Z", r"\1\\z", text)


def literally(text: Json) -> str:
    """A pattern that matches a text itself."""
    return re.sub(r"([\\.+*?()|\[\]{}^$#&~-])", r"\\\1", str(text))


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def twins_of(columns: Iterable[str], dataset: str) -> str:
    """The query that finds combinations that stand twice, where those with a missing value do not count."""
    named = [quoted(column) for column in columns]
    there = " AND ".join(f"{name} IS NOT NULL" for name in named)
    keys = ", ".join(named)
    return f"SELECT {keys} FROM {quoted(dataset)} WHERE {there} GROUP BY {keys} HAVING count(*) > 1"  # noqa: S608 - quoted


def integer(value: Json) -> int:
    """A whole number.

    Raises:
        Untaken: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise Untaken(f"{value!r} is no whole number")
    return int(value)
