"""Every use case as a command, made from its signature: the path's parameters by position, the rest as options."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Container, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from everloop.app import areas
from everloop.app.arguments import element_of, shape_of, value_of
from everloop.cli.door import Command, this_door
from everloop.cli.naming import Suggesting
from everloop.cli.telling import TOLD, Told
from everloop.kernel.errors import Conflict, Corrupted, EverloopError, InvalidInput, Refused
from everloop.kernel.usecase import UseCase, published
from everloop.store.entities import Digest

_METAVARS = {"text": "TEXT", "list": "TEXT", "json": "JSON|@FILE"}
_VERDICTS: dict[str, tuple[Callable[[Any], bool], type[EverloopError]]] = {
    "audit.verify": (attrgetter("intact"), Corrupted),
    "datasets.check": (attrgetter("passed"), Refused),
    "datasets.merge": (lambda merge: merge.outcome != "conflicts", Conflict),
    "datasets.prove": (attrgetter("holds"), Refused),
    "datasets.verify_import": (attrgetter("passed"), Refused),
    "loops.reproduce": (attrgetter("equal"), Refused),
    "packages.verify": (attrgetter("passed"), Refused),
    "store.fsck": (attrgetter("whole"), Corrupted),
    "store.repair": (lambda repair: not repair.lost, Corrupted),
    "store.verify": (attrgetter("whole"), Corrupted),
}
"""Answers that are verdicts: whether one is good, and the error whose exit code a bad one has."""
_HAND_MADE: dict[str, dict[str, str]] = {"runs": {"sync": "everloop.cli.sync"}}
"""Commands of groups that are no use cases: what they work on is on this machine. The module of each."""
_RAISES = "\n\nRaises:"


class UseCaseGroup(Suggesting):
    """The commands of one group of use cases; its area is imported when one of them is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs of the group."""
        return sorted([*map(_spelled, (usecase.verb for usecase in self._usecases())), *self._hand_made()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name in self._hand_made():
            made: click.Command = getattr(importlib.import_module(self._hand_made()[cmd_name]), cmd_name)
            return made
        return next((command(found) for found in self._usecases() if _spelled(found.verb) == cmd_name), None)

    def _hand_made(self) -> Mapping[str, str]:
        return _HAND_MADE.get(str(self.name), {})

    def _usecases(self) -> list[UseCase]:
        group = str(self.name)
        areas.load_group(group)
        return [usecase for usecase in published().values() if usecase.group == group]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs area by area, where there are many."""
        by_area: dict[str, list[tuple[str, str]]] = {}
        for usecase in sorted(self._usecases(), key=lambda usecase: _spelled(usecase.verb)):
            area = usecase.function.__module__.rpartition(".")[0]
            by_area.setdefault(area, []).append((_spelled(usecase.verb), usecase.summary))
        if len(by_area) == 1:
            super().format_commands(ctx, formatter)
            return
        for area in sorted(by_area, key=[f"everloop.{name}" for name in areas.AREAS].index):
            about = (inspect.getdoc(sys.modules[area]) or area).partition(".")[0]
            with formatter.section(about):
                formatter.write_dl(by_area[area])


def group(name: str) -> UseCaseGroup:
    """The commands of a group of use cases."""
    return UseCaseGroup(name, help=f"{areas.GROUPS[name][1]}.")


def shortcut(name: str, usecase: str, told: Told | None = None) -> Command:
    """A use case as a command of its own, with what it requires by position; `told` is its answer as text."""
    areas.load_group(usecase.partition(".")[0])
    found = published()[usecase]
    required = [p.name for p in found.signature.parameters.values() if p.default is p.empty]
    return command(found, name, required, told)


def command(usecase: UseCase, name: str = "", by_position: Sequence[str] = (), told: Told | None = None) -> Command:
    """The command that a use case makes."""
    tell = told or TOLD.get(usecase.name)

    def call(**given: object) -> int:
        door = this_door()
        answer = door.call(usecase.name, arguments(usecase, given))
        door.show(answer if tell is None or door.json else tell(answer))
        is_good, error = _VERDICTS.get(usecase.name, (None, EverloopError))
        return 0 if is_good is None or is_good(answer) else error.exit_code

    placed = {*positions(usecase), *by_position}
    parameters = [_parameter(parameter, placed) for parameter in usecase.signature.parameters.values()]
    return Command(
        name or _spelled(usecase.verb),
        params=parameters,
        callback=call,
        help=(inspect.getdoc(usecase.function) or "").partition(_RAISES)[0],
        short_help=usecase.summary,
    )


def positions(usecase: UseCase) -> Sequence[str]:
    """What stands by position: parameters of the path, or else a list of texts that is all that a use case requires."""
    required = [p for p in usecase.signature.parameters.values() if p.default is p.empty]
    if not usecase.path_parameters and len(required) == 1 and shape_of(required[0].annotation) == "list":
        return (required[0].name,)
    return usecase.path_parameters


def arguments(usecase: UseCase, given: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a use case out of the words on a command line; what was not given is left out.

    Raises:
        InvalidInput: a word makes no sense where it stands, or a file that it names cannot be read.
    """
    found: dict[str, object] = {}
    for name, parameter in usecase.signature.parameters.items():
        value = given.get(name)
        if value is None or value == ():
            continue
        texts = [str(text) for text in value] if isinstance(value, tuple) else [str(value)]
        try:
            found[name] = value if isinstance(value, bool) else _read(parameter.annotation, texts)
        except (ValueError, RecursionError, OSError) as error:
            raise InvalidInput(
                f"{_option(name)} {texts[-1]!r} does not make sense: {error}.", hint="See --help for what it takes."
            ) from None
    return found


def _read(annotation: Any, texts: list[str]) -> object:
    """A list, mapping or Struct is JSON, in the words or in an @file; or an element, or a key=value, in each word.

    A text that is marked as the content of a file may be an @file too. An address may be an @file, which is then kept.
    """
    shape = shape_of(annotation)
    if annotation is Digest and texts[-1].startswith("@"):
        return this_door().put_file(Path(texts[-1][1:]))
    if shape == "text" and not _is_file(annotation):
        return value_of(annotation, texts)
    texts = [Path(text[1:]).read_text() if text.startswith("@") else text for text in texts]
    if shape == "text":
        return value_of(annotation, texts)
    if _is_mapping(annotation) and not texts[0].lstrip().startswith("{"):
        return dict(_pair(annotation, text) for text in texts)
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        return msgspec.json.decode(texts[0])
    if shape == "json" and _is_listing(annotation):
        return [msgspec.json.decode(text) for text in texts]
    return value_of(annotation, texts)


def _pair(annotation: Any, text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise ValueError("write KEY=VALUE, or a JSON object")
    kind = (typing.get_args(annotation) or (str, Any))[1]
    if kind is not str:
        try:
            return key, msgspec.json.decode(value)
        except msgspec.DecodeError:
            return key, value
    return key, value


def _is_file(annotation: Any) -> bool:
    """Whether a text is the content of a file: `Annotated[str, Meta(extra={"file": True})]`."""
    marks = (mark.extra for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, msgspec.Meta))
    return any(extra and extra.get("file") for extra in marks)


def _is_mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict


def _is_listing(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (list, tuple, set, frozenset)


def _parameter(parameter: inspect.Parameter, by_position: Container[str]) -> click.Parameter:
    name, annotation = parameter.name, parameter.annotation
    if name in by_position:
        several = shape_of(annotation) == "list"
        return click.Argument([name], metavar=name.upper(), nargs=-1 if several else 1, required=True)
    required = parameter.default is parameter.empty
    note = "" if required else _default_of(parameter.default)
    shape = shape_of(annotation)
    if shape == "boolean":
        spelled = f"{_option(name)}/--no-{_spelled(name)}"
        return click.Option([spelled, name], default=None, required=required, help=note)
    return click.Option(
        [_option(name), name],
        type=_type(annotation),
        multiple=shape == "list" or _is_mapping(annotation) or _is_listing(annotation),
        required=required,
        metavar=_metavar(annotation),
        help=note,
    )


def _metavar(annotation: Any) -> str | None:
    if _choices(annotation):
        return None
    if annotation is Digest:
        return "DIGEST|@FILE"
    if _is_file(annotation):
        return "TEXT|@FILE"
    if _is_mapping(annotation):
        return "KEY=VALUE|JSON|@FILE"
    shape = shape_of(annotation)
    if shape == "list":
        return _word(element_of(annotation))
    return _word(annotation) if shape == "text" else _METAVARS[shape]


def _word(annotation: Any) -> str:
    text = getattr(annotation, "__name__", "") or str(annotation)
    for part, word in (("datetime", "TIME"), ("timedelta", "DURATION"), ("int", "INTEGER"), ("float", "NUMBER")):
        if part in text:
            return word
    return "TEXT"


def _type(annotation: Any) -> click.ParamType[Any]:
    choices = _choices(annotation)
    return click.Choice(choices) if choices else click.STRING


def _choices(annotation: Any) -> list[str]:
    if typing.get_origin(annotation) is Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    return []


def _default_of(default: object) -> str:
    if default is None or default == "" or default == () or default == [] or default == {}:
        return ""
    return f"default: {msgspec.to_builtins(default)}"


def _option(name: str) -> str:
    return f"--{_spelled(name)}"


def _spelled(name: str) -> str:
    return name.replace("_", "-")
