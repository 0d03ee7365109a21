"""MLflow's filters (`metrics.auc > 0.7 AND tags.team LIKE 'a%'`) and orders, parsed, and applied to lists of facts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from everloop.kernel.errors import InvalidInput

Kind = Literal["attribute", "metric", "parameter", "tag"]
Facts = Mapping[str, str | int | None]
"""What a list can be searched and ordered by: attributes by name, and `tags.<key>`, `params.<key>`."""

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


_NO_PROMPT = Comparison("tag", "mlflow.prompt.is_prompt", "!=", "true")
"""What clients add to every search for models; what has no such tag is no prompt."""


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


def pattern_of(like: str, *, ignoring_case: bool) -> str:
    """The regular expression for a LIKE: `%` is any text, `_` any character. Every database of ours reads it alike."""
    parts = (".*" if part == "%" else "." if part == "_" else re.escape(part) for part in re.split("([%_])", like))
    return f"(?{'i' if ignoring_case else ''}s)^(?:{''.join(parts)})\\Z"


def selected(
    rows: Sequence[Facts], filter: str, order_by: Sequence[str], default: str = "creation_time DESC"
) -> list[Facts]:
    """The rows that meet a filter, in order; what lacks a value comes last.

    Raises:
        InvalidInput: the filter or the order is not in the language, or names something that the rows do not have.
    """
    comparisons = parse(filter)
    orders = [parse_order(text) for text in order_by] or [parse_order(part) for part in default.split(", ")]
    known = {name for row in rows for name in row}
    for kind, key in [(named.kind, named.key) for named in comparisons] + [(named.kind, named.key) for named in orders]:
        if kind == "attribute" and rows and key not in known:
            raise InvalidInput(f"Invalid attribute key {key!r} specified.", hint=_HINT)
    found = [row for row in rows if all(_holds(comparison, row) for comparison in comparisons)]
    for order in reversed(orders):
        key = _name(order.kind, order.key)
        with_value = [row for row in found if row.get(key) is not None]
        with_value.sort(key=lambda row, key=key: row[key], reverse=order.descending)  # type: ignore[misc]  # A column is of one type.
        found = with_value + [row for row in found if row.get(key) is None]
    return found


def holds(comparison: Comparison, value: str | int | None) -> bool:
    """Whether a value meets a comparison; what is not there meets none.

    Raises:
        InvalidInput: a number is compared with a text.
    """
    wanted = comparison.value
    if value is None:
        return False
    if isinstance(wanted, tuple):
        return (str(value) in wanted) == (comparison.operator == "in")
    if comparison.operator in ("like", "ilike"):
        pattern = pattern_of(str(wanted), ignoring_case=comparison.operator == "ilike")
        return re.match(pattern, str(value)) is not None
    if isinstance(value, str) != isinstance(wanted, str):
        kind = "a text in quotes" if isinstance(value, str) else "a number"
        raise InvalidInput(f"{comparison.key!r} is compared with {wanted!r}, and needs {kind}.", hint=_HINT)
    return _COMPARISONS[comparison.operator](value, wanted)


def _holds(comparison: Comparison, row: Facts) -> bool:
    value = row.get(_name(comparison.kind, comparison.key))
    return (value is None and comparison == _NO_PROMPT) or holds(comparison, value)


def _name(kind: Kind, key: str) -> str:
    return {"tag": f"tags.{key}", "parameter": f"params.{key}", "metric": f"metrics.{key}"}.get(kind, key)


class _Reader:
    """The tokens of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._read())

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
        if first.lower() not in _KINDS or (not key and self._peek() != "."):
            return "attribute", token
        if not key:
            self._tokens.pop(0)
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
        return InvalidInput(f"Invalid filter {self._text[:200]!r}: it has {there} where {wanted} belongs.", hint=_HINT)

    def _list(self) -> Iterator[str]:
        self._mark("(")
        while True:
            yield _unquoted(self._take("text")[1])
            if self._mark(",", ")") == ")":
                return

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
        return self._tokens.pop(0)

    def _read(self) -> Iterator[tuple[str, str]]:
        position = 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                rest = self._text[position:].strip()[:80]
                raise InvalidInput(f"Invalid filter: it cannot be read from {rest!r} on.", hint=_HINT)
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if "\\" in text else text[1:-1]
