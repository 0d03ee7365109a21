"""The search's little language: `metrics.auc > 0.7 and (parameters.kind = 'gbm' or tags.team ilike 'a%')`.

`and` binds closer than `or`; `not` and parentheses may stand before any comparison. `like` takes `%` for any text and
`_` for any character and minds case, `ilike` does not. Keys that are no words stand in backticks or double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import msgspec

from everloop.kernel.clock import from_micros
from everloop.kernel.errors import InvalidInput
from everloop.tracking.index.expressions import (
    ATTRIBUTES,
    DATASET_KEYS,
    AllOf,
    AnyOf,
    Condition,
    Expression,
    Kind,
    Not,
    Operator,
    Ordering,
    Value,
    operators_for,
    type_of,
)

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("parameter", "parameters", "param", "params"), "parameter"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_ALSO = {"run_id": "id", "run_name": "name", "start_time": "started", "end_time": "ended", "user_id": "user"}
"""Names of attributes that people bring along."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|(?i:inf|nan))(?![\w.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<quoted>`[^`]+`)
    |(?P<word>[A-Za-z_][\w/-]*)
    |(?P<operator><=|>=|!=|=|<|>)
    |(?P<mark>[.(),]))""",
    re.VERBOSE,
)
LONGEST = 10_000
"""So many characters a filter may have."""
_DEEPEST = 50
_HINT = "Write conditions such as metrics.auc > 0.7 and parameters.kind = 'gbm' and status = 'finished'."


class Token(msgspec.Struct, frozen=True):
    """A piece of a filter, and where it stands."""

    kind: str
    text: str
    place: int


def parse(text: str) -> list[Expression]:
    """The conditions of a filter, all of which must hold.

    >>> parse("metrics.auc > 0.7")
    [Condition(kind='metric', key='auc', operator='>', value=0.7)]

    Raises:
        InvalidInput: it is not in the language.
    """
    if len(text) > LONGEST:
        raise InvalidInput(f"The filter has {len(text):,} characters.", hint=f"Up to {LONGEST:,} make sense.")
    reader = _Reader(text)
    if reader.is_done():
        return []
    found = reader.any_of(0)
    reader.end("AND, OR or the end")
    return list(found.parts) if isinstance(found, AllOf) else [found]


def parse_order(text: str) -> Ordering:
    """What `metrics.auc desc`, `parameters.rate` or `started desc` orders by.

    Raises:
        InvalidInput: it is not in the language.
    """
    orders = parse_orders(text)
    if len(orders) != 1:
        raise InvalidInput(f"{text!r} names {len(orders)} things to order by.", hint="Name one.")
    return orders[0]


def parse_orders(text: str) -> tuple[Ordering, ...]:
    """What `metrics.auc desc, started` orders by, the most important first; empty for an empty text.

    Raises:
        InvalidInput: it is not in the language.
    """
    reader = _Reader(text)
    orders: list[Ordering] = []
    while not reader.is_done():
        if orders:
            reader.take("mark", ",")
        kind, key = reader.field()
        if kind == "dataset":
            raise InvalidInput("Runs cannot be ordered by their datasets, of which they have several.", hint=_HINT)
        orders.append(Ordering(kind, key, reader.direction() == "desc"))
    return tuple(orders)


def parse_field(text: str) -> tuple[Kind, str]:
    """The column that `metrics.auc` or `started` names.

    Raises:
        InvalidInput: it names none.
    """
    reader = _Reader(text)
    found = reader.field()
    reader.end("the end")
    return found


class _Reader:
    """The tokens of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0

    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._next >= len(self._tokens)

    def end(self, wanted: str) -> None:
        """Nothing must be left."""
        if not self.is_done():
            raise self.wrong(wanted)

    def any_of(self, depth: int) -> Expression:
        """Parts between which OR stands."""
        parts = [self._all_of(depth)]
        while self._skip("or"):
            parts.append(self._all_of(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def field(self) -> tuple[Kind, str]:
        """What is compared: `metrics.auc`, ``tags.`a b` ``, or an attribute's bare name."""
        start = self._peek()
        first = self.take("word")
        if self._peek().text != "." and first not in _KINDS:
            return "attribute", self._attribute(first, start)
        kind = _KINDS.get(first.lower())
        if kind is None:
            raise self._unknown(first, start)
        parts: list[str] = []
        while self._skip(".", "mark"):
            key = self._peek()
            if key.kind not in ("word", "quoted", "text") or (key.kind == "text" and key.text[0] == "'"):
                raise self.wrong("a key (in backticks, where it is no word)")
            parts.append(self.take(key.kind) if key.kind == "word" else self.take(key.kind)[1:-1])
        key_text = ".".join(parts)
        if not key_text:
            raise self.wrong(f"a key after {first}.")
        if kind == "attribute":
            return kind, self._attribute(key_text, start)
        if kind == "dataset" and key_text not in DATASET_KEYS:
            raise self._unknown(f"{first}.{key_text}", start)
        return kind, key_text

    def direction(self) -> str:
        """ASC or DESC, in lower case; ASC where neither stands."""
        if self._peek().kind != "word":
            return "asc"
        return self.take("word", "asc", "desc")

    def take(self, kind: str, *allowed: str) -> str:
        """The next token, which is of a kind and, in whatever case, one of those that are allowed."""
        token = self._peek()
        known = token.text.lower() if allowed else token.text
        if token.kind != kind or (allowed and known not in allowed):
            raise self.wrong(" or ".join(allowed).upper() or f"a {kind}")
        self._next += 1
        return known

    def wrong(self, wanted: str) -> InvalidInput:
        """The error that something else is here than what belongs."""
        token = self._peek()
        there = repr(token.text[:80]) if token.kind != "end" else "its end"
        return InvalidInput(
            f"{self._text[:200]!r} has {there} at character {token.place + 1}, where {wanted} belongs.", hint=_HINT
        )

    def _all_of(self, depth: int) -> Expression:
        parts = [self._one(depth)]
        while self._skip("and"):
            parts.append(self._one(depth))
        flat = [inner for part in parts for inner in (part.parts if isinstance(part, AllOf) else (part,))]
        return flat[0] if len(flat) == 1 else AllOf(tuple(flat))

    def _one(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise InvalidInput(f"The filter is nested more than {_DEEPEST} deep.", hint="Write it flatter.")
        if self._skip("not"):
            return Not(self._one(depth + 1))
        if self._skip("(", "mark"):
            found = self.any_of(depth + 1)
            self.take("mark", ")")
            return found
        kind, key = self.field()
        operator = self._operator(kind, key)
        return Condition(kind, key, operator, self._value(kind, key, operator))

    def _operator(self, kind: Kind, key: str) -> Operator:
        allowed = operators_for(kind, key)
        start = self._next
        first = self._peek()
        known = first.text.lower()
        if first.kind in ("operator", "word"):
            self._next += 1
        if first.kind == "word" and known == "is":
            known = "is not null" if self._skip("not") else "is null"
            self.take("word", "null")
        elif first.kind == "word" and known == "not":
            known = f"not {self.take('word', 'in', 'like', 'ilike')}"
        if known not in allowed:
            self._next = start
            raise self.wrong(f"one of {', '.join(allowed).upper()}")
        return known

    def _value(self, kind: Kind, key: str, operator: Operator) -> Value:
        if operator in ("is null", "is not null"):
            return None
        type = type_of(kind, key)
        if operator not in ("in", "not in"):
            return self._number() if type == "number" else self._time() if type == "time" else self._quoted()
        self.take("mark", "(")
        values: list[float | str] = []
        while not values or self._skip(",", "mark"):
            values.append(self._number() if type == "number" else self._quoted())
        self.take("mark", ")")
        return cast(Value, tuple(values))

    def _number(self) -> float:
        return float(self.take("number"))

    def _quoted(self) -> str:
        text = self.take("text")
        return text[1:-1].replace(text[0] * 2, text[0])

    def _time(self) -> datetime:
        token = self._peek()
        try:
            if token.kind == "number":
                self._next += 1
                return from_micros(round(float(token.text) * 1000))
            found = datetime.fromisoformat(self._quoted())
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise InvalidInput(
                f"{token.text[:80]} at character {token.place + 1} is no time.",
                hint="Write '2026-01-31', '2026-01-31T12:00:00Z' or milliseconds since 1970.",
            ) from None

    def _attribute(self, name: str, token: Token) -> str:
        found = _ALSO.get(name, name)
        if found not in ATTRIBUTES:
            raise self._unknown(name, token)
        return found

    def _unknown(self, name: str, token: Token) -> InvalidInput:
        datasets = (f"datasets.{key}" for key in DATASET_KEYS)
        known = ", ".join(("metrics.KEY", "parameters.KEY", "tags.KEY", *ATTRIBUTES, *datasets))
        return InvalidInput(
            f"There is no {name[:80]!r} to search by (character {token.place + 1}).", hint=f"There are {known}."
        )

    def _skip(self, word: str, kind: str = "word") -> bool:
        token = self._peek()
        if token.kind != kind or token.text.lower() != word:
            return False
        self._next += 1
        return True

    def _peek(self) -> Token:
        return self._tokens[self._next] if not self.is_done() else Token("end", "", len(self._text))


def _tokens(text: str) -> Iterator[Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            rest = text[position:].strip()
            raise InvalidInput(
                f"{text[:200]!r} cannot be read from {rest[:80]!r} (character {len(text) - len(rest) + 1}) on.",
                hint=_HINT,
            )
        yield Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        position = match.end()
