"""Fingerprints: one digest over a value, or over a function and everything that it reaches.

A function reaches its code, its defaults, the variables of enclosing functions, and the globals that it really reads,
through the functions and classes of the project, wherever they are. It stops at installed libraries, which count by
their version. Globals and constants count by the value that they have, so it does not matter how they got it.
"""

from __future__ import annotations

import builtins
import copyreg
import dataclasses
import enum
import functools
import importlib
import importlib.util
import inspect
import pickle
import re
import sys
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from everloop.kernel.errors import InvalidInput
from everloop.pipelines.bytecode import MUTATORS, Use, assigned, said
from everloop.pipelines.declare import Pipeline, Step
from everloop.pipelines.libraries import EVERLOOP, file_of, is_installed, origin_of, spec_of, version_of
from everloop.pipelines.values import table_bytes
from everloop.store.service import digest_of

if TYPE_CHECKING:
    import pyarrow as pa

_PLAIN = (bool, int, float, complex, str, bytes, bytearray, datetime, date, time, timedelta, Decimal, Fraction, range)
_SEQUENCES = (list, tuple, deque)
_STATE = (list, dict, set, deque, bytearray)
_WHOLE_MODULE = frozenset({"eval", "exec", "globals", "vars"})
"""Builtins by which a function can reach any global of its module."""
_UNSAID = frozenset(
    {"__doc__", "__module__", "__dict__", "__weakref__", "__qualname__", "__annotations__", "__slots__", "__hash__"}
    | {"__match_args__", "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl"}
    | {
        "__slotnames__",
        "__non_callable_proto_members__",
        "__parameters__",
        "__orig_bases__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__annotate_func__",
    }
    | {"__struct_fields__", "__struct_defaults__", "__struct_encode_fields__", "__struct_config__"}
)
_NAMES = re.compile(r"[A-Za-z_][\w.]*")
_MOST_FILES = 20_000


def fingerprint(*values: object, strict: bool = False) -> str:
    """The digest of some values and of all that they reach, the same in every process.

    Equal values of equal types have equal fingerprints: 1, 1.0 and True differ, two dicts in another order do not, nor
    two tables that lie differently in memory. A path counts with the content that it leads to.

    Raises:
        InvalidInput: `strict`, and a value is of a kind that cannot be told from others of its kind.
    """
    walk = _Walk(strict)
    for value in values:
        walk.value(value)
    return walk.hexdigest()


class _Walk:
    """One walk over what values reach, in an order that is the same in every process."""

    def __init__(self, strict: bool) -> None:
        self._hash = blake3()
        self._strict = strict
        self._met: dict[int, int] = {}
        self._within: list[int] = []
        self._alive: list[object] = []

    def hexdigest(self) -> str:
        return str(self._hash.hexdigest())

    def put(self, *parts: str | bytes) -> None:
        """Feed a token; lengths go before the parts, so that no two sequences of tokens look alike."""
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            self._hash.update(b"%d:" % len(data))
            self._hash.update(data)

    def value(self, value: object) -> None:
        kind = type(value)
        if value is None or value is Ellipsis or value is NotImplemented:
            self.put("constant", repr(value))
        elif kind is str:
            self._text(str(value))
        elif kind in _PLAIN:
            self.put(kind.__name__, repr(value))
        elif kind in _SEQUENCES:
            self.put(kind.__name__, str(len(value)))  # type: ignore[arg-type]  # kind says that it has a length
            self._each(value, value)  # type: ignore[arg-type]
        elif isinstance(value, set | frozenset) and kind in (set, frozenset):
            self.put(kind.__name__, str(len(value)))
            self._each(value, sorted(value, key=_rank))
        elif isinstance(value, dict) and kind in (dict, defaultdict, OrderedDict):
            self.put(kind.__name__, str(len(value)))
            self._each(value, [part for key in sorted(value, key=_rank) for part in (key, value[key])])
        else:
            self._other(value, kind)

    def _other(self, value: object, kind: type) -> None:
        parts = _parts_of(value)
        if parts is not None:
            self.put(kind.__qualname__)
            self._each(value, parts)
        elif isinstance(value, PurePath):
            self._path(value)
        elif isinstance(value, ModuleType):
            self._module(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, BuiltinFunctionType):
            self.put("builtin", str(value.__module__), value.__qualname__)
        else:
            self._instance(value, kind)

    def _each(self, owner: object, values: Iterable[object]) -> None:
        with self._inside(owner) as again:
            if not again:
                for value in values:
                    self.value(value)

    @contextmanager
    def _inside(self, owner: object) -> Iterator[bool]:
        """Whether we are inside of this object already: then it refers to itself, so many levels up."""
        again = id(owner) in self._within
        if again:
            self.put("cycle", str(len(self._within) - self._within.index(id(owner))))
        self._within.append(id(owner))
        try:
            yield again
        finally:
            self._within.pop()

    def _text(self, text: str) -> None:
        self.put("str", text)
        if self._strict and 0 < len(text) < 4096 and "\n" not in text and "\0" not in text:
            path = Path(text)  # A text parameter that leads to a file stands for the file.
            if path.is_file() or ("/" in text and path.is_dir()):
                self._content(path)

    def _path(self, path: PurePath) -> None:
        self.put("path", type(path).__name__, str(path))
        if isinstance(path, Path):
            self._content(path)

    def _content(self, path: Path) -> None:
        if path.is_file():
            self.put("file", digest_of(path.read_bytes()))
        elif path.is_dir():
            files = [each for each in sorted(path.rglob("*")) if each.is_file()]
            if len(files) > _MOST_FILES:
                raise InvalidInput(
                    f"{path} has {len(files)} files, too many to see at each run whether one has changed.",
                    hint="Make it a dataset and hand in its snapshot.",
                )
            for each in files:
                self.put("file", each.relative_to(path).as_posix(), digest_of(each.read_bytes()))
        else:
            self.put("missing")

    def function(self, function: FunctionType) -> None:
        """Feed a function: what it says, and everything that it uses."""
        if self._known(function):
            return
        home = str(function.__globals__.get("__name__", ""))
        file = function.__code__.co_filename
        if self._library(
            home, file if not file.startswith("<") else file_of(sys.modules.get(home)), function.__qualname__
        ):
            for cell in function.__closure__ or ():  # A library's decorator: what it wraps is here.
                self._input(_content_of(cell), False, "")
            return
        code = said(function.__code__)
        self.put("function", function.__name__, code.digest)
        self.value(function.__defaults__)
        self.value(function.__kwdefaults__)
        self._annotations(function.__annotations__, function.__globals__)
        variables = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
        changed = {use.name for use in code.uses if use.kind == "free" and use.changed}
        for name, cell in variables.items():
            self.put("free", name)
            self._input(_content_of(cell), name in changed, "")
        for use in code.uses:
            if use.kind == "global":
                self._global(use, function)
            elif use.kind == "import":
                self._import(use, function.__globals__)

    def _input(self, value: object, changed: bool, source: str) -> None:
        if value is _Missing:
            self.put("missing")
        elif changed and isinstance(value, _STATE):
            self.put("state", type(value).__name__, source)  # A place to leave things in: how it began counts.
        else:
            self.value(value)

    def _global(self, use: Use, function: FunctionType) -> None:
        scope = function.__globals__
        self.put("global", use.name)
        if use.name not in scope:
            self.put("builtin" if hasattr(builtins, use.name) else "missing")
            if use.name in _WHOLE_MODULE:
                self._namespace(scope)
            return
        found, rest = self._followed(scope[use.name], use.attributes)
        changed = use.changed or (bool(rest) and rest[0] in MUTATORS and found is not scope[use.name])
        rebound = use.changed and not isinstance(found, (*_STATE, FunctionType, type, ModuleType))
        source = assigned(function.__code__, use.name) if changed else ""
        if rebound:
            self.put("state", source)  # `global count; count += 1`
        else:
            self._input(found, changed, source)

    def _import(self, use: Use, scope: Mapping[str, Any]) -> None:
        name = use.name
        if use.level:
            name = importlib.util.resolve_name("." * use.level + name, str(scope.get("__package__") or ""))
        self.put("import", name, *use.attributes)
        spec = spec_of(name.partition(".")[0])
        if spec is None or is_installed(origin_of(spec)):
            self._version(name.partition(".")[0], origin_of(spec) if spec else "")
            return
        try:
            found: object = importlib.import_module(name)
            if use.attributes[:1] and use.attributes[0] not in ("", "*") and not hasattr(found, use.attributes[0]):
                found = importlib.import_module(f"{name}.{use.attributes[0]}")
        except ImportError:
            self.put("missing")
            return
        if use.attributes == ("",):
            return
        self.value(self._followed(found, () if use.attributes == ("*",) else use.attributes)[0])

    def _followed(self, found: object, attributes: tuple[str, ...]) -> tuple[object, tuple[str, ...]]:
        """What a chain of attributes leads to, as far as it goes through modules of the project."""
        rest = attributes
        while rest and isinstance(found, ModuleType) and not is_installed(file_of(found)) and hasattr(found, rest[0]):
            found, rest = getattr(found, rest[0]), rest[1:]
        return found, rest

    def _module(self, module: ModuleType) -> None:
        self.put("module", module.__name__)
        if self._library(module.__name__, file_of(module), "") or self._known(module):
            return
        self._namespace(vars(module))

    def _namespace(self, scope: Mapping[str, Any]) -> None:
        """Everything that stands in a module: for code that may reach any of it."""
        if self._known(scope):
            return
        for name in sorted(scope):
            if not name.startswith("__"):
                self.put(name)
                self.value(scope[name])

    def _class(self, kind: type) -> None:
        file = file_of(sys.modules.get(kind.__module__))
        if self._library(kind.__module__, file, kind.__qualname__) or self._known(kind):
            return
        self.put("class", kind.__qualname__)
        for base in (*kind.__bases__, type(kind)):
            self._class(base)
        scope = vars(sys.modules[kind.__module__]) if kind.__module__ in sys.modules else {}
        self._annotations(inspect.get_annotations(kind), scope)
        self._shape(kind)
        for name in sorted(set(vars(kind)) - _UNSAID):
            member = vars(kind)[name]
            if not _is_derived(kind, name, member):
                self.put("member", name)
                self.value(member)

    def _shape(self, kind: type) -> None:
        """What a Struct, dataclass or Enum keeps beside its members."""
        if issubclass(kind, msgspec.Struct):
            for name, default in zip(
                reversed(kind.__struct_fields__), reversed(kind.__struct_defaults__), strict=False
            ):
                self.put("default", name)
                self.value(default.factory if hasattr(default, "factory") else default)
            config = kind.__struct_config__
            self.put("config", repr([getattr(config, name) for name in dir(config) if not name.startswith("_")]))
        elif dataclasses.is_dataclass(kind):
            for field in dataclasses.fields(kind):
                self.put("field", field.name, repr((field.init, field.repr, field.compare, field.kw_only)))
                self.value(None if field.default is dataclasses.MISSING else (field.default,))
                self.value(None if field.default_factory is dataclasses.MISSING else field.default_factory)
        elif issubclass(kind, enum.Enum):
            for member in kind:
                self.put("enumerated", member.name)
                self.value(member.value)

    def _annotations(self, annotations: Mapping[str, Any], scope: Mapping[str, Any]) -> None:
        """Annotations, and the project's classes that they name: values of them come in and go out."""
        for name, annotation in annotations.items():
            text = annotation if isinstance(annotation, str) else repr(annotation)
            self.put("annotation", name, text)
            for kind in [annotation, *(_looked_up(scope, dotted) for dotted in _NAMES.findall(text))]:
                if isinstance(kind, type):
                    self._class(kind)

    def _instance(self, value: object, kind: type) -> None:
        if isinstance(value, enum.Enum):
            self.put("member", value.name)
            self._class(kind)
        elif isinstance(value, msgspec.Struct):
            self._fields(value, kind, value.__struct_fields__)
        elif dataclasses.is_dataclass(value):
            self._fields(value, kind, [field.name for field in dataclasses.fields(value)])
        elif isinstance(value, tuple) and hasattr(kind, "_fields"):
            self._fields(value, kind, kind._fields)
        elif kind.__module__.partition(".")[0] == "numpy" and hasattr(value, "dtype"):
            self._array(value)
        elif kind.__module__.partition(".")[0] == "pyarrow" and kind.__name__ in ("Table", "RecordBatch"):
            self.put("table", _table_digest(value))
        elif kind.__module__.startswith("pandas.") and kind.__name__ == "DataFrame":
            self.put("frame", _frame_digest(value))
        elif isinstance(value, tzinfo):
            self.put("timezone", str(value))
        else:
            self._state_of(value, kind)

    def _fields(self, value: object, kind: type, names: Iterable[str]) -> None:
        self._class(kind)
        self._each(value, [item for name in names for item in (name, getattr(value, name))])

    def _array(self, value: Any) -> None:
        self.put("array", type(value).__name__, repr(value.dtype.descr), repr(value.shape))
        if value.dtype.hasobject:
            self._each(value, value.ravel().tolist())
        else:
            self.put(value.tobytes())

    def _state_of(self, value: object, kind: type) -> None:
        """An object of some other class: by its class and what pickling it would keep."""
        self._class(kind)
        if file_of(sys.modules.get(kind.__module__)).startswith(EVERLOOP):
            state: object = None
        else:
            state = _reduced(value)
        if state is None:
            if self._strict:
                raise InvalidInput(
                    f"A {kind.__module__}.{kind.__qualname__} cannot be handed to a step: the memo cannot tell one "
                    "from another.",
                    hint="Hand in JSON values, Structs, snapshots, tables, arrays; open what is live inside the step.",
                )
            self.put("opaque")
            return
        self._each(value, [state])

    def _library(self, module: str | None, file: str, name: str) -> bool:
        """Feed the version of the library that something comes from; whether it comes from one."""
        top = (module or "").partition(".")[0]
        if not (is_installed(file) or (not file and top in sys.stdlib_module_names) or top == "builtins"):
            return False
        self.put("library", module or "", name)
        self._version(top, file)
        return True

    def _version(self, top: str, file: str) -> None:
        self.put("version", top, "" if top in sys.stdlib_module_names else version_of(top))

    def _known(self, thing: object) -> bool:
        """Whether the walk has met a function, class or module already; its number is fed then."""
        number = self._met.get(id(thing))
        if number is None:
            self._met[id(thing)] = len(self._met)
            self._alive.append(thing)
            return False
        self.put("met", str(number))
        return True


class _Missing:
    """What a name stands for that has no value yet."""


def _parts_of(value: object) -> tuple[object, ...] | None:
    """What something that wraps functions is made of."""
    match value:
        case Step() | Pipeline():
            return (value.function,)
        case MethodType():
            return value.__func__, value.__self__
        case functools.partial():
            return value.func, value.args, value.keywords
        case property():
            return value.fget, value.fset, value.fdel
        case staticmethod() | classmethod():
            return (value.__func__,)
        case functools.cached_property():
            return (value.func,)
    wrapped = None if isinstance(value, FunctionType) else getattr(value, "__wrapped__", None)
    return (wrapped,) if isinstance(wrapped, FunctionType) else None  # functools.cache and its like


def _looked_up(scope: Mapping[str, Any], dotted: str) -> object:
    name, *attributes = dotted.split(".")
    found = scope.get(name)
    for attribute in attributes:
        found = getattr(found, attribute, None)
    return found


def _rank(item: object) -> tuple[str, str]:
    """Where an item of a set, or a key of a mapping, stands: the same in every process."""
    kind = type(item)
    if kind in _PLAIN or item is None:
        return kind.__name__, repr(item)
    if isinstance(item, enum.Enum):
        return kind.__qualname__, item.name
    if isinstance(item, FunctionType | type | ModuleType):
        return f"{kind.__name__} {getattr(item, '__module__', '')}", getattr(item, "__qualname__", item.__name__)
    return kind.__qualname__, fingerprint(item)


def _content_of(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _Missing


def _reduced(value: object) -> list[object] | None:
    """What pickling an object would keep of it, or nothing when it cannot be pickled."""
    try:
        by_copyreg = copyreg.dispatch_table.get(type(value))
        reduced = by_copyreg(value) if by_copyreg else value.__reduce_ex__(2)
    except (TypeError, AttributeError, ValueError, RecursionError, NotImplementedError, pickle.PicklingError):
        return None
    parts = [reduced] if isinstance(reduced, str) else list(reduced)
    return [list(part) if isinstance(part, Iterator) else part for part in parts]


def _is_derived(kind: type, name: str, member: object) -> bool:
    """Whether a member follows from the rest of the class: slots, and what dataclasses and enumerations generate."""
    if isinstance(member, MemberDescriptorType | GetSetDescriptorType | WrapperDescriptorType):
        return True
    if issubclass(kind, enum.Enum):
        return name.startswith("_") or isinstance(member, kind)
    generated = isinstance(member, FunctionType) and member.__code__.co_filename.startswith("<string>")
    return generated and name.startswith("__") and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))


def _table_digest(table: pa.Table | pa.RecordBatch) -> str:
    import pyarrow as pa

    whole = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
    marker = id(table)
    if marker not in _tables:
        _tables[marker] = digest_of(table_bytes(whole))
        weakref.finalize(table, _tables.pop, marker, None)
    return _tables[marker]


_tables: dict[int, str] = {}
"""The digests of the tables that are in memory: a table never changes."""


def _frame_digest(frame: Any) -> str:
    import pyarrow as pa

    return digest_of(table_bytes(pa.Table.from_pandas(frame)))
