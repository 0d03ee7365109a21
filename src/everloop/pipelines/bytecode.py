"""What a function's code says and what it reaches, from the code object that really runs.

The code that runs is the truth: a source text may have been edited since, may be hidden by a decorator, or may not be
there at all (notebooks, `exec`). The text is used for one thing only: where the file on disk still compiles to this
very code object, the syntax tree stands for it, so that comments, docstrings and line breaks change nothing.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Literal

import msgspec

from everloop.store.service import digest_of

MUTATORS = frozenset(
    {"append", "appendleft", "add", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "remove"}
    | {"setdefault", "update"}
)
"""Methods that change the list, dict, set or deque that they are called on."""
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}
_LOCAL = {"LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"}
_SIMPLE = {"LOAD_CONST", "LOAD_SMALL_INT", *_GLOBAL, *_LOCAL}
_UNSAID = {"__doc__", "__firstlineno__", "__static_attributes__"}


class Use(msgspec.Struct, frozen=True):
    """A name that the code reads: a global, a variable of an enclosing function, or a module that it imports itself.

    `attributes` are what is read off it at once (`a.b.c`). `changed` says that the code changes what the name stands
    for, so that it is a place to leave things in and no input.
    """

    kind: Literal["global", "free", "import"]
    name: str
    attributes: tuple[str, ...] = ()
    changed: bool = False
    level: int = 0


class Said(msgspec.Struct, frozen=True):
    """What a code object says (a digest) and what it uses, nested functions included."""

    digest: str
    uses: tuple[Use, ...]


@lru_cache(maxsize=10_000)
def said(code: CodeType) -> Said:
    """What a code object says and uses. About 1 ms for a screen of code; kept."""
    uses = tuple(dict.fromkeys(_uses(code)))
    changed = {(use.kind, use.name) for use in uses if use.changed}
    marked = (msgspec.structs.replace(use, changed=(use.kind, use.name) in changed) for use in uses)
    body = _tree(code) or repr(_instructions(code))
    return Said(digest_of(body.encode("utf-8", "surrogatepass")), tuple(dict.fromkeys(marked)))


def _uses(code: CodeType) -> Iterator[Use]:
    instructions = [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
    imported: dict[str, Use] = {}
    for index, each in enumerate(instructions):
        after = instructions[index + 1 :]
        if each.opname in _GLOBAL and each.argval not in imported:
            yield Use("global", each.argval, _attributes(after), _changes(after))
        elif each.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
            yield Use("global", each.argval, changed=True)
        elif each.opname == "IMPORT_NAME":
            yield from _imports(instructions, index, imported)
        elif each.opname in _LOCAL | _GLOBAL and each.argval in imported:
            bound = imported[each.argval]
            yield msgspec.structs.replace(bound, attributes=bound.attributes + _attributes(after))
        elif each.opname in _LOCAL and each.argval in code.co_freevars:
            yield Use("free", each.argval, _attributes(after), _changes(after))
        elif each.opname == "STORE_DEREF" and each.argval in code.co_freevars:
            yield Use("free", each.argval, changed=True)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _uses(constant)


def _imports(instructions: Sequence[dis.Instruction], index: int, imported: dict[str, Use]) -> Iterator[Use]:
    """The modules of an import statement; names that it binds are followed to where they are used."""
    name, names, level = instructions[index].argval, instructions[index - 1].argval, instructions[index - 2].argval
    level = level if isinstance(level, int) else 0
    if names:
        for each in names:
            yield Use("import", name, (each,), level=level)
        return
    after = instructions[index + 1 :]
    stored = next((each for each in after if each.opname.startswith("STORE_")), None)
    whole = any(each.opname == "IMPORT_FROM" for each in after[: after.index(stored)]) if stored else False
    if stored is not None:
        imported[str(stored.argval)] = Use("import", name if whole else name.partition(".")[0])
    yield Use("import", name, ("",))  # The empty attribute: it is imported, and nothing of it is read here.


def _attributes(after: Sequence[dis.Instruction]) -> tuple[str, ...]:
    found: list[str] = []
    for each in after:
        if each.opname not in _ATTRIBUTE:
            break
        found.append(each.argval)
    return tuple(found)


def _changes(after: Sequence[dis.Instruction]) -> bool:
    """Whether what was just loaded is changed: `x.append(…)`, `x[k] = …`, `x[k] += …`, `del x[k]`."""
    if not after:
        return False
    if after[0].opname in _ATTRIBUTE and after[0].argval in MUTATORS:
        return True
    if len(after) < 2 or after[0].opname not in _SIMPLE:
        return False
    return after[1].opname in {"STORE_SUBSCR", "DELETE_SUBSCR"} or (after[1].opname == "COPY" and after[1].arg == 2)


def _instructions(code: CodeType) -> tuple[object, ...]:
    """The instructions with their constants, without lines and docstrings."""
    listed = [each for each in dis.get_instructions(code) if each.opname not in {"EXTENDED_ARG", "NOP", "RESUME"}]
    spoken = [
        (each.opname, _argument(each))
        for each, following in zip(listed, [*listed[1:], None], strict=True)
        if not (_sets_unsaid(each) or (following is not None and _sets_unsaid(following)))
    ]
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_varnames)
    return (code.co_name, shape, code.co_freevars, code.co_exceptiontable, tuple(spoken))


def _sets_unsaid(instruction: dis.Instruction) -> bool:
    return instruction.opname == "STORE_NAME" and instruction.argval in _UNSAID


def _argument(instruction: dis.Instruction) -> object:
    if instruction.opcode in dis.hasconst:
        return constant(instruction.argval)
    named = dis.hasname + dis.haslocal + dis.hasfree + dis.hascompare + dis.hasjrel + dis.hasjabs
    return instruction.argval if instruction.opcode in named else instruction.arg


def constant(value: object) -> object:
    """A constant of some code as something whose `repr` tells it from every other, whatever the hash seed."""
    if isinstance(value, CodeType):
        return _instructions(value)
    if isinstance(value, frozenset):
        return ("frozenset", sorted(repr(constant(item)) for item in value))
    if isinstance(value, tuple):
        return ("tuple", tuple(constant(item) for item in value))
    return (type(value).__name__, repr(value))


def _tree(code: CodeType) -> str:
    """The syntax tree of the code, when the file that it came from still compiles to it; otherwise nothing."""
    file = Path(code.co_filename)
    if not file.is_absolute() or not file.is_file():
        return ""
    functions = _compiled(file.read_bytes(), code.co_filename)
    return next((text for known, text in functions if known == code), "")


def assigned(code: CodeType, name: str) -> str:
    """The statements at the top of the code's file that mention a name, as syntax trees; nothing without the file."""
    file = Path(code.co_filename)
    if not _tree(code):
        return ""
    kept = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top = [node for node in ast.parse(file.read_bytes()).body if not isinstance(node, kept)]
    names = ({each.id for each in ast.walk(node) if isinstance(each, ast.Name)} for node in top)
    return "".join(ast.dump(node) for node, mentioned in zip(top, names, strict=True) if name in mentioned)


@lru_cache(maxsize=1_000)
def _compiled(source: bytes, filename: str) -> tuple[tuple[CodeType, str], ...]:
    """Every function of a source with its syntax tree as text, docstrings left out."""
    try:
        tree = ast.parse(source, filename)
        module = compile(source, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return ()
    trees: dict[tuple[str, int], list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            trees.setdefault((name, line), []).append(_written(node))
    found = ((code, trees.get((code.co_name, code.co_firstlineno), [])) for code in _nested(module))
    return tuple((code, texts[0]) for code, texts in found if len(texts) == 1)


def _written(node: ast.AST) -> str:
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            inner.body = body[1:] or [ast.Pass()]  # type: ignore[index]  # a docstring is a statement of the body
    return ast.dump(node)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _nested(inner)
