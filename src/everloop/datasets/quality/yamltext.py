"""YAML that people write: plain values, and the line that each stands on, so that errors can name it.

Scalars are read as YAML 1.2 does: `no`, `on` and `2013-01-01` are text; only true and false are booleans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import yaml

LARGEST = 2 << 20
"""So many characters a file may have."""
MOST_VALUES, DEEPEST = 100_000, 60
"""What a file may unfold to: aliases of aliases could be endless."""

Path = tuple[str | int, ...]
"""The way to a value: keys of mappings and positions in lists."""
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LINE = 110
_WORDS: Mapping[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Document:
    """A YAML file as plain values; `spans` has the first and the last line of each (of a
    key's value the key's line first), `texts` how scalars are spelled."""

    value: Json
    source: str
    spans: Mapping[Path, tuple[int, int]]
    texts: Mapping[Path, str]

    def line(self, path: Path) -> int:
        """The line (from 1) that a value stands on, or the nearest thing around it."""
        while path and path not in self.spans:
            path = path[:-1]
        return self.spans.get(path, (1, 1))[0]

    def refuse(self, path: Path, problem: str, hint: str = "") -> NoReturn:
        """Say what is wrong with a value, and where.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(f"Line {self.line(path)}: {problem}", hint=hint)


def read_yaml(text: str) -> Document:
    """The values of a YAML file (JSON is YAML too).

    Raises:
        InvalidInput: it is not YAML, has a key twice, uses tags or merge keys, or unfolds without end; with the line.
    """
    import yaml

    if len(text) > LARGEST:
        raise InvalidInput(f"The file has {len(text):,} characters.", hint=f"At most {LARGEST:,} are read.")
    try:
        node = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"Line {mark.line + 1}: " if mark else ""
        raise InvalidInput(f"{place}this is not YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InvalidInput(f"This is not YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise InvalidInput("The file is nested too deeply.", hint=f"{DEEPEST} levels are enough.") from None
    reading = _Reading()
    value = None if node is None else reading.value(node, ())
    return Document(value, text, reading.spans, reading.texts)


def write_yaml(value: Json) -> str:
    """A value as YAML in block style, with lists of scalars on one line; `read_yaml` gives it back."""
    import yaml

    written: str = yaml.dump(
        value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=_LINE, default_flow_style=None
    )
    return written


def comments_of(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a YAML file that can be read: line and text (with its #), in order."""
    import yaml

    ends: dict[int, int] = {}
    for token in yaml.scan(text, Loader=_loader()):
        for line in range(token.start_mark.line, token.end_mark.line):
            ends[line] = 1 << 62  # A text over several lines holds no comment.
        if token.start_mark.index < token.end_mark.index:
            ends[token.end_mark.line] = max(ends.get(token.end_mark.line, 0), token.end_mark.column)
    for number, whole in enumerate(text.split("\n")):
        rest = whole[ends.get(number, 0) :].strip()
        if rest.startswith("#"):
            yield number + 1, rest


@dataclass
class _Reading:
    """Unfolds the nodes of a file."""

    spans: dict[Path, tuple[int, int]] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    count: int = 0

    def value(self, node: yaml.Node, path: Path) -> Json:
        import yaml

        self.count += 1
        line = node.start_mark.line + 1
        if self.count > MOST_VALUES or len(path) > DEEPEST:
            raise InvalidInput(
                f"Line {line}: the file unfolds to more than {MOST_VALUES:,} values or {DEEPEST} levels."
            )
        self.spans[path] = (line, line)
        if isinstance(node, yaml.MappingNode):
            made = self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            made = [self.value(part, (*path, position)) for position, part in enumerate(node.value)]
        else:
            return self._scalar(node, path)
        self.spans[path] = (line, max(line, *(self.spans[inner][1] for inner in self._below(path, made))))
        return made

    def _below(self, path: Path, made: Json) -> Iterator[Path]:
        yield path
        keys: Iterator[str | int] = iter(made) if isinstance(made, dict) else iter(range(len(made or [])))  # type: ignore[arg-type]  # A list, if no mapping.
        yield from ((*path, key) for key in keys)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        import yaml

        made: dict[str, Json] = {}
        for key, inner in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                raise InvalidInput(f"Line {line}: keys are plain words here; merge keys (<<) are not read.")
            if key.value in made:
                raise InvalidInput(f"Line {line}: {key.value!r} stands here a second time.", hint="Leave one of them.")
            made[key.value] = self.value(inner, (*path, key.value))
            self.spans[*path, key.value] = (line, max(line, self.spans[*path, key.value][1]))
        return made

    def _scalar(self, node: yaml.Node, path: Path) -> Json:
        text, line, plain = str(node.value), node.start_mark.line + 1, getattr(node, "style", None) is None
        last = node.end_mark.line + (0 if node.end_mark.column == 0 and not plain else 1)
        self.spans[path] = (line, max(line, last))
        self.texts[path] = text
        if node.tag != f"{_TAG}str":
            raise InvalidInput(f"Line {line}: the tag {node.tag!r} is not known here.", hint="Leave tags out.")
        return _plain(text) if plain else text


def _plain(text: str) -> Json:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 300:
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return float(text.lower().replace(".", "", 1)) if _SPECIAL.fullmatch(text) else text


@cache
def _loader() -> type[yaml.SafeLoader]:
    """A loader that leaves every scalar the text that it is."""
    import yaml

    class Texts(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types.
        yaml_implicit_resolvers: dict[str, object] = {}

    return Texts


@cache
def _dumper() -> type[yaml.SafeDumper]:
    """A dumper that quotes what `_plain` would read as something else than text."""
    import yaml

    class Plainly(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types.
        yaml_implicit_resolvers: dict[str, object] = {}

        def ignore_aliases(self, data: object) -> bool:
            """Nothing is written as an alias."""
            return True

        def represent_str(self, text: str) -> yaml.Node:
            """Texts with line breaks or control characters are written with escapes, the only way that keeps them."""
            return self.represent_scalar(f"{_TAG}str", text, style=None if text.isprintable() else '"')

        def represent_dict(self, held: dict[str, Json]) -> yaml.Node:
            """A mapping that is too long for a line has a line for each key."""
            node = super().represent_dict(held)
            node.flow_style = False if len(str(held)) > _LINE else node.flow_style
            return node

    Plainly.add_representer(str, Plainly.represent_str)
    Plainly.add_representer(dict, Plainly.represent_dict)
    tags = {"null": r"~|null|Null|NULL|", "bool": r"true|True|TRUE|false|False|FALSE", "int": _INTEGER.pattern}
    tags |= {"float": rf"{_NUMBER.pattern}|{_SPECIAL.pattern}"}
    for name, pattern in tags.items():
        Plainly.add_implicit_resolver(f"{_TAG}{name}", re.compile(f"^(?:{pattern})$"), None)
    return Plainly
