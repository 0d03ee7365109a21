"""The language that traces are searched in, the one of MLflow: `status = 'ERROR' AND tags.team LIKE 'a%'`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from everloop.kernel.errors import InvalidInput

Kind = Literal["attribute", "tag", "metadata", "span", "feedback", "expectation", "issue", "prompt"]
Value = str | float | int | tuple[str, ...] | None

LONGEST = 20_000
_KINDS: dict[str, Kind] = {
    "trace": "attribute",
    "attribute": "attribute",
    "attributes": "attribute",
    "tag": "tag",
    "tags": "tag",
    "metadata": "metadata",
    "request_metadata": "metadata",
    "span": "span",
    "feedback": "feedback",
    "expectation": "expectation",
    "issue": "issue",
}
NUMBERS = {
    "timestamp": "started",
    "timestamp_ms": "started",
    "execution_time": "milliseconds",
    "execution_time_ms": "milliseconds",
    "end_time": "ended",
    "end_time_ms": "ended",
}
"""The attributes that are numbers: what each is called here."""
TEXTS = {
    "request_id": "id",
    "trace_id": "id",
    "status": "state",
    "state": "state",
    "client_request_id": "client_id",
    "name": "name",
    "run_id": "run",
}
"""The attributes that are texts: what each is called here."""
_NAME_TAG = "mlflow.traceName"
_RUN_METADATA = "mlflow.sourceRun"
_RANGES = ("<", "<=", ">", ">=")
_PATTERNS = ("like", "ilike", "rlike")
_NULLS = ("is null", "is not null")
_ALLOWED: dict[str, tuple[str, ...]] = {
    "number": ("=", "!=", *_RANGES),
    "text": ("=", "!=", "in", "not in", *_PATTERNS),
    "tag": ("=", "!=", *_PATTERNS, *_NULLS),
    "span": ("=", "!=", "in", "not in", *_PATTERNS),
    "content": ("like", "ilike"),
    "assessment": ("=", "!=", *_RANGES, *_PATTERNS, *_NULLS),
    "issue": ("=",),
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<mark><=|>=|!=|<>|=|<|>|\(|\)|,)
    |(?P<field>(?:[A-Za-z_][\w/:-]*|`[^`]+`)(?:\.(?:[\w/:-]+|`[^`]+`|"[^"]+"))*))""",
    re.VERBOSE,
)
_HINT = "Write conditions such as status = 'ERROR' AND tags.team LIKE 'a%' AND execution_time_ms > 100."


class Condition(msgspec.Struct, frozen=True):
    """One condition of a search; its operator is in lower case, and `in` and `not in` take a tuple."""

    kind: Kind
    key: str
    operator: str
    value: Value = None


class Ordering(msgspec.Struct, frozen=True):
    """One thing that traces are ordered by."""

    kind: Kind
    key: str
    descending: bool = False


def parse(text: str) -> list[Condition]:
    """The conditions of a filter, all of which must hold.

    >>> parse("trace.status = 'OK'")
    [Condition(kind='attribute', key='state', operator='=', value='OK')]

    Raises:
        InvalidInput: it is not in the language.
    """
    reader = _Reader(text)
    conditions: list[Condition] = []
    while reader.more:
        if conditions:
            reader.word("and")
        conditions.append(_condition(reader))
    return conditions


def parse_order(text: str) -> Ordering:
    """What `timestamp DESC` or `tags.team` orders by; ascending when it says nothing.

    Raises:
        InvalidInput: it is not in the language.
    """
    reader = _Reader(text)
    kind, key = _named(reader.field(), ordering=True)
    direction = reader.word("asc", "desc") if reader.more else "asc"
    if reader.more or kind not in ("attribute", "tag", "metadata"):
        raise InvalidInput(
            f"Invalid order_by clause {text[:200]!r}.", hint="Order by one thing, such as timestamp DESC."
        )
    return Ordering(kind, key, direction == "desc")


def _condition(reader: _Reader) -> Condition:
    field, operator = reader.field(), reader.operator()
    kind, key = _named(field)
    rule = _rule(kind, key)
    allowed = _ALLOWED[rule]
    if kind == "prompt" and operator != "=":
        wanted = "Only '=' is supported with format: prompt = \"name/version\""
        raise InvalidInput(f"Invalid comparator '{operator.upper()}' for prompts filter. {wanted}")
    if operator not in allowed:
        shown = ", ".join(allowed).upper()
        if rule == "content":
            raise InvalidInput(f"span.content comparator '{operator.upper()}' not one of {shown}.")
        raise InvalidInput(f"Invalid comparator '{operator.upper()}' for {key!r}: not one of {shown}.")
    value = None if operator in _NULLS else reader.value(operator)
    _check_value(kind, key, operator, value)
    return Condition(kind, key, operator, value)


def _rule(kind: Kind, key: str) -> str:
    match kind:
        case "attribute" if key in NUMBERS.values():
            return "number"
        case "attribute" if key not in ("name", "run"):
            return "text"
        case "attribute" | "tag" | "metadata":
            return "tag"  # MLflow's clients keep names and runs among tags and metadata.
        case "span":
            return "content" if key == "content" else "span"
        case "feedback" | "expectation":
            return "assessment"
        case _:
            return "issue"


def _named(parts: list[str], *, ordering: bool = False) -> tuple[Kind, str]:
    """What a field names: its kind, and the key in it."""
    if len(parts) == 1:
        return _attribute(parts[0], ordering=ordering)
    if parts[0] not in _KINDS:
        known = ", ".join(_KINDS)
        raise InvalidInput(f"Invalid entity type '{parts[0][:80]}'. Valid values are {known}.")
    kind, key = _KINDS[parts[0]], ".".join(parts[1:])
    if kind == "attribute":
        return _attribute(key, ordering=ordering)
    if (kind, key) in (("tag", _NAME_TAG), ("metadata", _RUN_METADATA)):
        return "attribute", "name" if kind == "tag" else "run"
    if kind == "span" and key not in ("name", "type", "status", "content") and not key.startswith("attributes."):
        raise InvalidInput(
            f"Invalid span attribute '{key[:80]}'. "
            "Supported attributes: name, status, type, attributes.<attribute_name>."
        )
    if kind == "issue" and key != "id":
        raise InvalidInput(f"Invalid issue attribute '{key[:80]}'. Supported attributes: id.")
    return kind, key


def _attribute(name: str, *, ordering: bool) -> tuple[Kind, str]:
    key = name.lower()
    if key == "prompt" and not ordering:
        return "prompt", key
    if key == "text" and not ordering:
        return "span", "content"
    if key == "experiment_id" and ordering:
        return "attribute", "experiment"
    found = NUMBERS.get(key) or TEXTS.get(key)
    if found is None:
        known = ", ".join((*NUMBERS, *TEXTS))
        raise InvalidInput(f"Invalid attribute key '{name[:80]}' specified. Valid keys are {known}.")
    return "attribute", found


def _check_value(kind: Kind, key: str, operator: str, value: Value) -> None:
    """Refuse a number where a text belongs, and the other way round."""
    if value is None:
        return
    numeric = isinstance(value, (int, float))
    if kind == "attribute" and key in NUMBERS.values():
        wanted = True
    else:
        wanted = kind in ("feedback", "expectation") and operator in _RANGES
    if numeric != wanted:
        needed = "a numeric value" if wanted else "a quoted string value"
        raise InvalidInput(f"Expected {needed} for {key!r} with {operator.upper()}. Got value {value!r}.", hint=_HINT)
    if kind == "prompt" and str(value).count("/") != 1:
        raise InvalidInput(f"Invalid prompts filter value '{value}'. Expected format: prompt = \"name/version\"")


class _Reader:
    """The tokens of a text, taken one by one."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise InvalidInput(f"The filter has {len(text):,} characters.", hint=f"Up to {LONGEST:,} make sense.")
        self._text = text
        self._tokens = list(self._read())
        self._tokens.reverse()

    @property
    def more(self) -> bool:
        """Whether there is anything left."""
        return bool(self._tokens)

    def field(self) -> list[str]:
        """What is compared or ordered by, as its parts: a text in quotes is one part."""
        kind, token = self._take("field", "text")
        if kind == "text":
            return [token[1:-1]]
        return [part.strip('`"') for part in re.findall(r'`[^`]+`|"[^"]+"|[^.]+', token)]

    def operator(self) -> str:
        """A comparison, in lower case."""
        _, token = self._take("mark", "field")
        word = "!=" if token == "<>" else token.lower()
        if word == "not":
            word = f"not {self.word('in')}"
        elif word == "is":
            word = "is not null" if self.word("not", "null") == "not" and self.word("null") else "is null"
        if word not in {operator for allowed in _ALLOWED.values() for operator in allowed}:
            raise self._wrong(f"a comparison, not {token}")
        return word

    def value(self, operator: str) -> Value:
        """A number, a text, or for IN a list of texts in parentheses."""
        if operator in ("in", "not in"):
            return tuple(self._list())
        kind, token = self._take("number", "text")
        if kind == "text":
            return _unquoted(token)
        return int(token) if re.fullmatch(r"[+-]?\d{1,30}", token) else float(token)

    def word(self, *words: str) -> str:
        """One of these words, in whatever case; it comes back in lower case."""
        _, token = self._take("field")
        if token.lower() not in words:
            raise self._wrong(" or ".join(words).upper())
        return token.lower()

    def _list(self) -> Iterator[str]:
        self._mark("(")
        while True:
            yield _unquoted(self._take("text")[1])
            if self._mark(",", ")") == ")":
                return

    def _mark(self, *marks: str) -> str:
        _, token = self._take("mark")
        if token not in marks:
            raise self._wrong(" or ".join(marks))
        return token

    def _take(self, *kinds: str) -> tuple[str, str]:
        if not self._tokens or self._tokens[-1][0] not in kinds:
            raise self._wrong(" or ".join(f"a {kind}" for kind in kinds))
        return self._tokens.pop()

    def _wrong(self, wanted: str) -> InvalidInput:
        there = self._tokens[-1][1][:80] if self._tokens else "its end"
        return InvalidInput(
            f"Invalid clause(s) in filter string {self._text[:200]!r}: {there} where {wanted} belongs.", hint=_HINT
        )

    def _read(self) -> Iterator[tuple[str, str]]:
        position = 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                rest = self._text[position:].strip()[:80]
                raise InvalidInput(
                    f"Invalid clause(s) in filter string: it cannot be read from {rest!r} on.", hint=_HINT
                )
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()


def _unquoted(token: str) -> str:
    inner = token[1:-1].replace(token[0] * 2, token[0])
    return re.sub(r"\\(['\"])", r"\1", inner)
