"""Writes `platform.pyi`: what editors and type checkers see of the Python door, made from the use cases' signatures.

`python -m everloop.sdk.stubs` writes it; a test fails when it is not in sync.
"""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from everloop.app import areas
from everloop.app.arguments import element_of
from everloop.kernel.usecase import Json, UseCase, published

SOURCE = Path(__file__).with_name("platform.py")
STUB = SOURCE.with_suffix(".pyi")
_HEADER = '''\
"""The door in Python. Written by `python -m everloop.sdk.stubs` from the use cases' signatures: do not edit."""
'''


class Spelling:
    """Types as a stub spells them, and the modules that it must import for that.

    A method called `list` hides the type of that name in its class, so `hidden` types are spelled with their module.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        self.imports: set[str] = set()
        self._hidden = frozenset(hidden)

    def of(self, annotation: Any) -> str:
        """A type as source text. Constraints (`Annotated`) are left out."""
        if annotation == Json:
            return self._named("everloop.kernel.usecase", "Json")
        if annotation is None or annotation is type(None):
            return "None"
        if annotation is ...:
            return "..."
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.of(arguments[0])
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments)
        if origin is Literal:
            return f"{self._named('typing', 'Literal')}[{', '.join(map(repr, arguments))}]"
        if origin is not None:
            return f"{self._class(origin)}[{', '.join(map(self.of, arguments))}]"
        return self._class(annotation)

    def _union(self, arguments: tuple[Any, ...]) -> str:
        """Json inside of a union comes apart into its members; it is put together again."""
        rest = [part for part in arguments if part not in typing.get_args(Json)]
        whole = len(rest) == len(arguments) - len(typing.get_args(Json))
        parts = (
            [self._named("everloop.kernel.usecase", "Json"), *map(self.of, rest)] if whole else map(self.of, arguments)
        )
        return " | ".join(parts)

    def _class(self, kind: Any) -> str:
        if kind.__module__ == "builtins" and kind.__name__ not in self._hidden:
            return str(kind.__name__)
        return self._named(kind.__module__, kind.__qualname__)

    def _named(self, module: str, name: str) -> str:
        self.imports.add(module)
        return f"{module}.{name}"


def stub() -> str:
    """The text of `platform.pyi`: a class for each group, and the classes and functions of `platform.py`."""
    areas.load_all()
    spelling = Spelling(usecase.verb for usecase in published().values())
    by_group: dict[str, list[UseCase]] = {}
    for usecase in published().values():
        by_group.setdefault(usecase.group, []).append(usecase)
    groups = "\n".join(_group(name, usecases, spelling) for name, usecases in by_group.items())
    hand_made = _hand_made(by_group)
    imports = "".join(f"import {module}\n" for module in sorted(spelling.imports))
    return f"{_HEADER}\n{imports}{_imports()}\n{groups}\n{hand_made}\n"


def _group(name: str, usecases: Iterable[UseCase], spelling: Spelling) -> str:
    methods = "\n".join(_method(usecase, spelling) for usecase in usecases)
    return f"class {_class_of(name)}:\n    {_docstring(areas.GROUPS[name][1] + '.')}\n{methods}\n"


def _method(usecase: UseCase, spelling: Spelling) -> str:
    parameters = [_parameter(parameter, spelling) for parameter in usecase.signature.parameters.values()]
    head = f"    def {usecase.verb}({', '.join(['self', *parameters])}) -> {spelling.of(usecase.result)}:"
    return f"{head}\n        {_docstring(usecase.summary)}"


def _parameter(parameter: inspect.Parameter, spelling: Spelling) -> str:
    kind = spelling.of(parameter.annotation)
    if typing.get_origin(parameter.annotation) is tuple:
        kind += f" | {spelling.of(list[element_of(parameter.annotation)])}"  # type: ignore[misc]  # a type made at run time
    return f"{parameter.name}: {kind}" + (
        "" if parameter.default is parameter.empty else f" = {_default(parameter.default)}"
    )


def _default(value: object) -> str:
    return repr(value) if value is None or isinstance(value, (bool, int, float, str)) else "..."


def _hand_made(groups: Iterable[str]) -> str:
    """The definitions of `platform.py` without their bodies; the groups stand where `__getattr__` finds them."""
    parts = []
    for node in ast.parse(SOURCE.read_text()).body:
        if isinstance(node, ast.ClassDef):
            attributes = "\n".join(f"    {name}: {_class_of(name)}" for name in groups)
            methods = [_hollow(part) for part in node.body if isinstance(part, ast.FunctionDef) and _is_seen(part)]
            head = f"class {node.name}:\n    {_docstring(ast.get_docstring(node) or '')}\n\n{attributes}\n"
            parts.append(head + "\n".join(_indented(method) for method in methods))
        elif isinstance(node, ast.FunctionDef):
            parts.append(_hollow(node))
    return "\n\n".join(parts)


def _is_seen(function: ast.FunctionDef) -> bool:
    return function.name not in ("__getattr__", "__dir__")


def _hollow(function: ast.FunctionDef) -> str:
    summary = (ast.get_docstring(function) or "").partition("\n")[0]
    body: list[ast.stmt] = [ast.Expr(ast.Constant(summary))] if summary else [ast.Expr(ast.Constant(...))]
    empty = ast.FunctionDef(
        function.name, function.args, body, function.decorator_list, function.returns, function.type_comment, lineno=0
    )
    return ast.unparse(ast.fix_missing_locations(empty))


def _imports() -> str:
    """The imports of `platform.py`."""
    nodes = [node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.ImportFrom)]
    return "".join(f"{ast.unparse(node)}\n" for node in nodes if node.module != "__future__")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _docstring(text: str) -> str:
    return f'"""{text} """' if text.endswith('"') else f'"""{text}"""'


def _class_of(group: str) -> str:
    return f"{group.title()}Group"


if __name__ == "__main__":
    STUB.write_text(stub())
