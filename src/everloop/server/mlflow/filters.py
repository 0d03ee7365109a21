"""MLflow's filters (`metrics.auc > 0.7 AND tags.team LIKE 'a%'`) and orders, parsed, and applied to lists of facts."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from everloop.catalog.like import matcher
from everloop.kernel.errors import InvalidInput

Kind = Literal["attribute", "metric", "parameter", "tag", "dataset"]
Facts = Mapping[str, str | float | tuple[float, ...] | None]
"""What a list can be searched and ordered by: attributes by name, and `tags.<key>`, `params.<key>`, `metrics.<key>`.

Of several values a comparison holds where it holds for one of them.
"""

_KINDS: dict[str, Kind] = {
    "attribute": "attribute",
    "attributes": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "metric": "metric",
    "metrics": "metric",
    "param": "parameter",
    "params": "parameter",
    "parameter": "parameter",
    "parameters": "parameter",
    "tag": "tag",
    "tags": "tag",
    "dataset": "dataset",
    "datasets": "dataset",
}
_COMPARISONS: dict[str, Callable[[str | float, str | float], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,  # type: ignore[operator]  # `holds` compares numbers with numbers.
    "<=": lambda value, wanted: value <= wanted,  # type: ignore[operator]
    ">": lambda value, wanted: value > wanted,  # type: ignore[operator]
    ">=": lambda value, wanted: value >= wanted,  # type: ignore[operator]
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<quoted>`[^`]+`)
    |(?P<word>[A-Za-z_][\w/-]*(?:\.[\w/-]+)*)
    |(?P<mark><=|>=|!=|=|<|>|\.|\(|\)|,))""",
    re.VERBOSE,
)
_HINT = "Write conditions such as metrics.auc > 0.7 AND params.kind = 'gbm' AND tags.team LIKE 'a%'."


class Comparison(msgspec.Struct, frozen=True):
    """One comparison of a filter; its operator is in lower case, and `in` and `not in` take a tuple."""

    kind: Kind
    key: str
    operator: str
    value: str | float | tuple[str, ...]


class Order(msgspec.Struct, frozen=True):
    """One thing that a list is ordered by."""

    kind: Kind
    key: str
    descending: bool


class Searched(msgspec.Struct, frozen=True):
    """What a list can be searched by: its attributes, those that are texts and those that are numbers, and its kinds.

    `default` is the order that it has when none is named, and that what is equal otherwise comes in.
    """

    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    default: str
    kinds: tuple[Kind, ...] = ("attribute", "tag")


def parse(text: str) -> list[Comparison]:
    """The comparisons of a filter, all of which must hold.

    >>> parse("attributes.run_name ILIKE 'A%'")
    [Comparison(kind='attribute', key='run_name', operator='ilike', value='A%')]

    Raises:
        InvalidInput: it is not in the language.
    """
    reader = _Reader(text)
    comparisons: list[Comparison] = []
    while reader.more:
        if comparisons:
            reader.take_word("and")
        kind, key = reader.field()
        operator = reader.operator()
        comparisons.append(Comparison(kind, key, operator, reader.value(operator)))
    return comparisons


def parse_order(text: str) -> Order:
    """What `metrics.auc DESC` orders by; ascending when it says nothing.

    Raises:
        InvalidInput: it is not in the language.
    """
    reader = _Reader(text)
    kind, key = reader.field()
    direction = reader.take_word("asc", "desc") if reader.more else "asc"
    if reader.more:
        raise reader.wrong("its end")
    return Order(kind, key, direction == "desc")


def selected(rows: Sequence[Facts], filter: str, order_by: Sequence[str], searched: Searched) -> list[Facts]:
    """The rows that meet a filter, in order; what lacks a value comes last.

    Raises:
        InvalidInput: the filter or the order is not in the language, or names something that the rows do not have.
    """
    tests = [_test(comparison, searched) for comparison in parse(filter)]
    named = [parse_order(text) for text in order_by]
    for order in named:
        _check(order.kind, order.key, searched)
    found = [row for row in rows if all(test(row) for test in tests)]
    for order in reversed([*named, *map(parse_order, searched.default.split(", "))]):
        key = name_of(order.kind, order.key)
        there = [row for row in found if row.get(key) is not None]
        there.sort(key=lambda row, key=key: row[key], reverse=order.descending)  # type: ignore[misc]  # A column is of one type.
        found = there + [row for row in found if row.get(key) is None]
    return found


def name_of(kind: Kind, key: str) -> str:
    """What a field is called in Facts."""
    return {"tag": f"tags.{key}", "parameter": f"params.{key}", "metric": f"metrics.{key}"}.get(kind, key)


def _check(kind: Kind, key: str, searched: Searched) -> None:
    if kind not in searched.kinds:
        raise InvalidInput(f"Invalid entity type '{kind}'. Valid entity types are {searched.kinds}")
    if kind == "attribute" and key not in searched.texts + searched.numbers:
        raise InvalidInput(
            f"Invalid attribute key '{key}' specified. Valid keys are '{searched.texts + searched.numbers}'"
        )


def _test(comparison: Comparison, searched: Searched) -> Callable[[Facts], bool]:
    """Whether a row meets a comparison; what is not there meets none.

    Raises:
        InvalidInput: there is no such field, or it is not compared like that.
    """
    kind, key, operator, wanted = comparison.kind, comparison.key, comparison.operator, comparison.value
    _check(kind, key, searched)
    is_number = kind == "metric" or (kind == "attribute" and key in searched.numbers)
    operators = tuple(_COMPARISONS) if is_number else ("=", "!=", "like", "ilike", "in", "not in")
    if operator not in operators:
        raise InvalidInput(f"Invalid comparison operator for {key!r}: {operator!r}. Expected one of {operators}.")
    if is_number != isinstance(wanted, float):
        needs = "a number" if is_number else "a text in quotes"
        raise InvalidInput(f"Invalid comparison: {key!r} needs {needs}, not {wanted!r}.", hint=_HINT)
    holds, name = test_of(operator, wanted), name_of(kind, key)

    def test(row: Facts) -> bool:
        value = row.get(name)
        return any(map(holds, value)) if isinstance(value, tuple) else value is not None and holds(value)

    return test


def test_of(operator: str, wanted: str | float | tuple[str, ...]) -> Callable[[str | float], bool]:
    """Whether a value meets a comparison with something of its kind."""
    if isinstance(wanted, tuple):
        return lambda value: (value in wanted) == (operator == "in")
    if operator in ("like", "ilike"):
        matches = matcher(str(wanted), ignoring_case=operator == "ilike")
        return lambda value: matches(str(value))
    return lambda value: _COMPARISONS[operator](value, wanted)


class _Reader:
    """The tokens of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = deque(self._read())

    @property
    def more(self) -> bool:
        """Whether there is anything left."""
        return bool(self._tokens)

    def field(self) -> tuple[Kind, str]:
        """What is compared: `metrics.auc`, ``tags.`a b` ``, or an attribute's bare name."""
        kind, token = self._take("word", "quoted", "text")
        if kind != "word":
            return "attribute", token[1:-1]
        first, _, key = token.partition(".")
        if key and first.lower() not in _KINDS:
            raise InvalidInput(
                f"Invalid entity type {first!r}. Valid values are {tuple(dict.fromkeys(_KINDS.values()))}"
            )
        if first.lower() not in _KINDS or (not key and self._peek() != "."):
            return "attribute", token
        if not key:
            self._tokens.popleft()
            kind, key = self._take("word", "quoted", "text")
            key = key if kind == "word" else key[1:-1]
        return _KINDS[first.lower()], key

    def operator(self) -> str:
        """A comparison, in lower case."""
        kind, token = self._take("mark", "word")
        word = token.lower()
        if kind == "word" and word == "not":
            word = f"not {self.take_word('in')}"
        if word not in (*_COMPARISONS, "like", "ilike", "in", "not in"):
            raise self.wrong("a comparison", token)
        return word

    def value(self, operator: str) -> str | float | tuple[str, ...]:
        """A number, a text, or for IN a list of texts in parentheses."""
        if operator in ("in", "not in"):
            return tuple(self._list())
        kind, token = self._take("number", "text")
        return float(token) if kind == "number" else _unquoted(token)

    def take_word(self, *words: str) -> str:
        """One of these words, in whatever case; it comes back in lower case."""
        _, token = self._take("word")
        if token.lower() not in words:
            raise self.wrong(" or ".join(words).upper(), token)
        return token.lower()

    def wrong(self, wanted: str, found: str = "") -> InvalidInput:
        """The error that something else is here than what belongs."""
        there = found or (self._tokens[0][1] if self._tokens else "its end")
        return InvalidInput(
            f"Invalid filter string: {self._text[:200]!r} has {there} where {wanted} belongs.", hint=_HINT
        )

    def _list(self) -> Iterator[str]:
        self._mark("(")
        while True:
            yield _unquoted(self._take("text")[1])
            ended = self._mark(",", ")") == ")"
            if ended or self._peek() == ")":  # A list of one may end in a comma, as Python writes it.
                break
        if not ended:
            self._mark(")")

    def _mark(self, *marks: str) -> str:
        _, token = self._take("mark")
        if token not in marks:
            raise self.wrong(" or ".join(marks), token)
        return token

    def _peek(self) -> str:
        return self._tokens[0][1] if self._tokens else ""

    def _take(self, *kinds: str) -> tuple[str, str]:
        if not self._tokens or self._tokens[0][0] not in kinds:
            raise self.wrong(f"a {' or a '.join(kinds)}")
        return self._tokens.popleft()

    def _read(self) -> Iterator[tuple[str, str]]:
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                rest = self._text[position:].strip()[:80]
                raise InvalidInput(f"Invalid filter string: it cannot be read from {rest!r} on.", hint=_HINT)
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if "\\" in text else text[1:-1]
