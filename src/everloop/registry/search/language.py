"""The filter and the order of the search, read: `name LIKE 'late%' AND tags.team = 'core'`, `name DESC`.

It is MLflow's language for its registry, with its words where something is wrong, since programs read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from everloop.kernel.errors import InvalidInput

LONGEST = 10_000
"""So many characters a filter may have."""
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?\d+(?:\.\d*)?(?![\w.]))
    |(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<quoted>`[^`]+`)
    |(?P<word>[A-Za-z_][\w/-]*(?:\.[\w/-]+)*)
    |(?P<mark><=|>=|!=|=|<|>|\.|\(|\)|,))""",
    re.VERBOSE,
)
_ENTITIES = {"attribute": "", "attributes": "", "attr": "", "tag": "tags.", "tags": "tags."}
_ORDERED = ("=", "!=", "<", "<=", ">", ">=")
_LIST = "While parsing a list in the query, expected"


class Comparison(msgspec.Struct, frozen=True):
    """One comparison: `key` is an attribute or `tags.<key>`, the operator is in upper case."""

    key: str
    operator: str
    value: str | int | tuple[str, ...]

    @property
    def tag(self) -> str:
        """The key of the tag that is compared, empty for an attribute."""
        return self.key.removeprefix("tags.") if self.key.startswith("tags.") else ""


def parse(text: str, attributes: Mapping[str, frozenset[str]]) -> list[Comparison]:
    """The comparisons of a filter, all of which must hold; `attributes` has the operators that each one takes.

    >>> parse("name = 'late'", {"name": frozenset("=")})
    [Comparison(key='name', operator='=', value='late')]

    Raises:
        InvalidInput: it is not in the language.
    """
    if len(text) > LONGEST or "\0" in text:
        raise InvalidInput(f"Invalid clause(s) in filter string: it has {len(text):,} characters, or a NUL.")
    tokens, found = _Tokens(text), list[Comparison]()
    while tokens.left:
        if found and tokens.take("word").upper() != "AND":
            raise tokens.wrong()
        found.append(_comparison(tokens, attributes))
    return found


def parse_order(text: str, keys: Mapping[str, str], complaint: str) -> tuple[str, bool]:
    """What `name DESC` orders by, and whether it goes down; `keys` has what each word stands for.

    Raises:
        InvalidInput: it is not in the language, or not one of the keys: `complaint` says so, with `{}` for the key.
    """
    found = re.fullmatch(r"\s*(?:attributes?\.)?[`\"]?(\w+)[`\"]?(?:\s+(asc|desc))?\s*", text, re.IGNORECASE)
    if found is None:
        raise InvalidInput(f"Invalid order_by clause '{text[:80]}'.", hint="Write a key, and ASC or DESC.")
    if found[1] not in keys:
        raise InvalidInput(complaint.format(found[1]), hint=f"There are {', '.join(sorted(keys))}.")
    return keys[found[1]], (found[2] or "").upper() == "DESC"


def _comparison(tokens: _Tokens, attributes: Mapping[str, frozenset[str]]) -> Comparison:
    key = _key(tokens)
    operator = tokens.take("mark", "word").upper()
    if operator not in (*_ORDERED, "LIKE", "ILIKE", "IN") or not tokens.left:
        raise tokens.wrong()
    value = _list(tokens) if operator == "IN" else _value(tokens)
    tag = key.startswith("tags.")
    allowed = frozenset(("=", "!=", "LIKE", "ILIKE")) if tag else attributes.get(key)
    if allowed is None:
        known = ", ".join(sorted(attributes))
        raise InvalidInput(f"Invalid attribute key '{key[:80]}' specified.", hint=f"There are {known}, and tags.")
    if operator not in allowed:
        raise InvalidInput(f"Invalid comparator for {'tag' if tag else 'attribute'}: {operator}")
    if isinstance(value, int) != ("LIKE" not in allowed):
        raise InvalidInput(f"Expected a {'number' if isinstance(value, str) else 'quoted string value'} for {key}.")
    return Comparison(key, operator, value)


def _key(tokens: _Tokens) -> str:
    kind, token = tokens.next("word", "quoted")
    first, _, rest = token.partition(".")
    if kind == "quoted":
        return token[1:-1]
    if first.lower() in _ENTITIES and (rest or tokens.first == "."):
        if not rest:
            tokens.take("mark")
            kind, rest = tokens.next("word", "quoted", "text")
            rest = rest if kind == "word" else rest[1:-1]
        return _ENTITIES[first.lower()] + rest
    if rest:
        raise InvalidInput(f"Invalid entity type '{first[:80]}'.", hint=f"There are {', '.join(_ENTITIES)}.")
    return token


def _value(tokens: _Tokens) -> str | int:
    kind, token = tokens.next("number", "text", "word")
    if kind == "word":
        if token.lower() in ("true", "false", "null"):
            raise tokens.wrong()
        raise InvalidInput(
            "Parameter value is either not quoted or unidentified quote types used for "
            f"string value {token[:80]}. Use either single or double quotes."
        )
    if kind == "text":
        return unquoted(token)
    if not re.fullmatch(r"[+-]?\d{1,18}", token):
        raise InvalidInput(f"{token[:40]} is no whole number that is kept.")
    return int(token)


def _list(tokens: _Tokens) -> tuple[str, ...]:
    if tokens.first != "(" or ")" not in tokens.left:
        raise tokens.wrong()
    tokens.take("mark")
    items: list[str] = []
    wanted = "item"
    while (token := tokens.next("text", "number", "word", "mark", "quoted"))[1] != ")":
        kind = token[0]
        if kind in ("number", "word", "quoted"):
            raise InvalidInput(f"{_LIST} string value, punctuation, or whitespace, but got different type in list")
        if (kind == "text") != (wanted == "item"):
            raise InvalidInput(f"{_LIST} a non-empty list of string values, but got ill-formed list")
        items += [unquoted(token[1])] if kind == "text" else []
        wanted = "mark" if kind == "text" else "item"
    if not items:
        raise InvalidInput(f"{_LIST} a non-empty list of string values, but got empty list")
    return tuple(items)


def unquoted(text: str) -> str:
    """What stands between quotes."""
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if "\\" in text else text[1:-1]


class _Tokens:
    """The tokens of a filter, taken one by one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._read())

    @property
    def left(self) -> list[str]:
        """What is left."""
        return [token for _, token in self._tokens]

    @property
    def first(self) -> str:
        """What comes next."""
        return self._tokens[0][1] if self._tokens else ""

    def next(self, *kinds: str) -> tuple[str, str]:
        """The next token, of one of these kinds, with its kind."""
        if not self._tokens or self._tokens[0][0] not in kinds:
            raise self.wrong()
        return self._tokens.pop(0)

    def take(self, *kinds: str) -> str:
        """The next token, of one of these kinds."""
        return self.next(*kinds)[1]

    def wrong(self) -> InvalidInput:
        """The error that the filter is none."""
        rest = " ".join(self.left)[:80] or self._text[:80]
        hint = "Write conditions such as name LIKE 'late%' AND tags.team = 'core'."
        return InvalidInput(f"Invalid clause(s) in filter string: {rest}", hint=hint)

    def _read(self) -> Iterator[tuple[str, str]]:
        position = 0
        while self._text[position:].strip():
            match = _TOKEN.match(self._text, position)
            if match is None or match.lastgroup is None:
                rest = self._text[position:].strip()[:80]
                raise InvalidInput(f"Invalid clause(s) in filter string: {rest}")
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()
