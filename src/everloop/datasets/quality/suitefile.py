"""Suites as files: a small YAML format that people write, review and keep beside their code.

    dataset: flights
    gates: [commit, training]        # where the suite stands in the way: commit, merge, training, deployment
    on_failure: refuse               # what a commit that fails comes to: refuse, or quarantine the rows
    expectations:
      - kind: not_null               # the kind, then the fields of the kind
        column: origin
      - {kind: in_range, column: dep_delay, minimum: -120, maximum: 1500, mostly: 0.99, severity: warning}

Reading and writing again gives the same suite; comments stay with the expectation that they stand at.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

import msgspec

from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.suites.entities import SuiteDeclaration
from everloop.datasets.quality.yamltext import Document, comments_of, read_yaml, write_yaml
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

_FIELDS = ("dataset", "gates", "on_failure", "expectations")


class Comments(msgspec.Struct, frozen=True):
    """The comments of a file: at its top, at each expectation, and below the last one."""

    head: tuple[str, ...] = ()
    of: tuple[tuple[Expectation, tuple[str, ...]], ...] = ()
    tail: tuple[str, ...] = ()


def kinds() -> dict[str, type[msgspec.Struct]]:
    """Every kind of expectation, by the name that files call it."""
    return {str(kind.__struct_config__.tag): kind for kind in typing.get_args(Expectation)}


def read_suite(text: str, dataset: str = "") -> SuiteDeclaration:
    """The suite in a file; `dataset` is used where the file names none, and must agree where it does.

    Raises:
        InvalidInput: it is no suite; with the line and what is known there.
    """
    return _declaration(read_yaml(text), dataset)


def write_suite(suite: SuiteDeclaration, comments: Comments | None = None) -> str:
    """A suite as a file, with comments where the file that they are from had them."""
    kept = comments or Comments()
    lines = [*kept.head, f"dataset: {suite.dataset}"]
    if suite.gates:
        lines += [f"gates: [{', '.join(suite.gates)}]", f"on_failure: {suite.on_failure}"]
    lines.append("expectations:" if suite.expectations else "expectations: []")
    spare = list(kept.of)
    for expectation in suite.expectations:
        lines += [f"  {comment}" for comment in _taken(spare, expectation)]
        lines += [f"  {line}" if line else line for line in write_yaml([fields_of(expectation)]).splitlines()]
    return "\n".join([*lines, *kept.tail, ""])


def comments_in(text: str) -> Comments:
    """The comments of a suite's file, by the expectation that each stands at or above."""
    document = read_yaml(text)
    suite = _declaration(document, "", anonymous=True)
    spans = [document.spans["expectations", position] for position in range(len(suite.expectations))]
    first = document.line(("expectations",)) if spans else 1 << 62
    head, tail, of = list[str](), list[str](), [list[str]() for _ in spans]
    for line, comment in comments_of(text):
        owner = next((position for position, (_, last) in enumerate(spans) if line <= last), None)
        (head if line < first else tail if owner is None else of[owner]).append(comment)
    owned = tuple((expectation, tuple(lines)) for expectation, lines in zip(suite.expectations, of, strict=True))
    return Comments(tuple(head), owned, tuple(tail))


def fields_of(expectation: Expectation) -> dict[str, Json]:
    """An expectation as a file has it: its kind, and the fields that are not as usual."""
    told: dict[str, Json] = {"kind": str(type(expectation).__struct_config__.tag)}
    for field in msgspec.structs.fields(expectation):
        value = getattr(expectation, field.name)
        if field.required or value != field.default:
            told[field.name] = _plain(value)
    return told


def _taken(spare: list[tuple[Expectation, tuple[str, ...]]], expectation: Expectation) -> Sequence[str]:
    """The comments of an equal expectation; each is given once."""
    position = next((n for n, (one, _) in enumerate(spare) if one == expectation), None)
    return () if position is None else spare.pop(position)[1]


def _declaration(document: Document, dataset: str, *, anonymous: bool = False) -> SuiteDeclaration:
    held = document.value
    if not isinstance(held, dict):
        raise InvalidInput("The file is no suite.", hint="Begin with: dataset: NAME, then expectations:")
    _known(document, (), held, _FIELDS, "A suite")
    listed = held.get("expectations")
    if listed is not None and not isinstance(listed, list):
        document.refuse(("expectations",), "expectations is a list.", hint="Begin each with - kind: …")
    named = document.texts.get(("dataset",), "")
    if dataset and named and named != dataset:
        document.refuse(("dataset",), f"this is the suite of {named}, not of {dataset}.")
    if not (dataset or named or anonymous):
        raise InvalidInput("The suite names no dataset.", hint="Begin with: dataset: NAME")
    expectations = tuple(_expectation(document, position) for position in range(len(listed or [])))
    settings = {key: held[key] for key in ("gates", "on_failure") if held.get(key) is not None}
    given = {"dataset": named or dataset or "unnamed", "expectations": [], **settings}
    try:
        declared = msgspec.convert(given, SuiteDeclaration)
    except msgspec.ValidationError as error:
        _located(document, (), error)
    return msgspec.structs.replace(declared, expectations=expectations)


def _expectation(document: Document, position: int) -> Expectation:
    path = ("expectations", position)
    given = document.value["expectations"][position]  # type: ignore[index,call-overload]  # _declaration has looked.
    if not isinstance(given, dict) or "kind" not in given:
        document.refuse(path, "an expectation begins with its kind.", hint=f"Known: {', '.join(kinds())}.")
    kind = kinds().get(str(given["kind"]))
    if kind is None:
        document.refuse(
            (*path, "kind"), f"{given['kind']!r} is no kind of expectation.", f"Known: {', '.join(kinds())}."
        )
    hints = typing.get_type_hints(kind)
    _known(document, path, given, ("kind", *hints), str(given["kind"]))
    values = {
        name: _typed(document, (*path, name), hints[name], value) for name, value in given.items() if name != "kind"
    }
    try:
        made: Expectation = msgspec.convert(values | {"type": given["kind"]}, kind)  # type: ignore[assignment]
    except msgspec.ValidationError as error:
        _located(document, path, error)
    return made


def _typed(document: Document, path: tuple[str | int, ...], hint: Any, value: Json) -> object:
    """A value as its field wants it: where only text will do, as it is spelled (`1` is a name too)."""
    arms = set(typing.get_args(hint)) or {hint}
    if isinstance(value, list) and arms == {str, ...}:
        return [document.texts.get((*path, position), part) for position, part in enumerate(value)]
    if isinstance(value, dict) and arms == {str}:
        return {name: document.texts.get((*path, name), part) for name, part in value.items()}
    return document.texts[path] if hint is str and path in document.texts else value


def _known(
    document: Document, path: tuple[str | int, ...], held: dict[str, Json], fields: Sequence[str], whose: str
) -> None:
    for name in held:
        if name not in fields:
            document.refuse((*path, name), f"{whose} has no field {name!r}.", f"It has {', '.join(fields)}.")


def _located(document: Document, path: tuple[str | int, ...], error: msgspec.ValidationError) -> typing.NoReturn:
    problem, _, where = str(error).partition(" - at `$")
    steps: list[str | int] = []
    for part in where.rstrip("`").replace("[", ".[").split("."):
        if part:
            steps.append(int(part[1:-1]) if part.startswith("[") and part[1:-1].isdecimal() else part)
    named = f"{steps[0]}: " if steps else ""
    document.refuse((*path, *steps), f"{named}{problem[:1].lower()}{problem[1:]}.")


def _plain(value: object) -> Json:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    plain: Json = msgspec.to_builtins(value)
    return plain
