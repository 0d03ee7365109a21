"""Pickles, judged by their opcodes: what would be imported and called, without loading anything.

A list of what is allowed, not of what is forbidden: whatever it does not name is unsafe, and so is every name that the
pickle does not spell out where it uses it.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Collection, Iterator

_HARMLESS: dict[str, str] = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple",
    "__builtin__": "bool bytearray bytes complex dict float frozenset int list object set slice str tuple xrange",
    "copyreg": "_reconstructor",
    "copy_reg": "_reconstructor",
    "_codecs": "encode",
    "collections": "Counter OrderedDict defaultdict deque",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "uuid": "UUID SafeUUID",
    "numpy": "dtype ndarray",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.ma.core": "MaskedArray _mareconstruct",
    "scipy.sparse._csr": "csr_matrix csr_array",
    "scipy.sparse._csc": "csc_matrix csc_array",
    "sklearn.compose._column_transformer": "ColumnTransformer _RemainderColsList",
    "sklearn.ensemble._forest": "RandomForestClassifier RandomForestRegressor",
    "sklearn.ensemble._gb": "GradientBoostingClassifier GradientBoostingRegressor",
    "sklearn.impute._base": "SimpleImputer",
    "sklearn.linear_model._base": "LinearRegression",
    "sklearn.linear_model._logistic": "LogisticRegression",
    "sklearn.linear_model._ridge": "Ridge RidgeClassifier",
    "sklearn.pipeline": "FeatureUnion Pipeline",
    "sklearn.preprocessing._data": "MinMaxScaler RobustScaler StandardScaler",
    "sklearn.preprocessing._encoders": "OneHotEncoder OrdinalEncoder",
    "sklearn.preprocessing._label": "LabelEncoder",
    "sklearn.tree._classes": "DecisionTreeClassifier DecisionTreeRegressor",
    "sklearn.tree._tree": "Tree",
}
ALLOWED = frozenset((module, name) for module, names in _HARMLESS.items() for name in names.split())
"""What a pickle may name: types that only hold values, and the functions that their pickles are made with."""
_TEXTS = frozenset(
    {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"}
)
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_SILENT = frozenset({"PROTO", "FRAME"})
_OUTSIDE = {
    "EXT1": "the registry of extensions",
    "EXT2": "the registry of extensions",
    "EXT4": "the registry of extensions",
    "PERSID": "something that its reader looks up",
    "BINPERSID": "something that its reader looks up",
}


def problems(data: bytes, allowed: Collection[tuple[str, str]] = ALLOWED) -> list[str]:
    """What is unsafe in a pickle, or in several one after another; nothing when it only holds values.

    `allowed` are the globals that it may name. Broken pickles are unsafe too: what stands before the break is run
    before a reader notices it.
    """
    found: list[str] = []
    rest = io.BytesIO(data)
    while rest.tell() < len(data):
        try:
            for it in _Reader().named(rest):
                found += [it] if isinstance(it, str) else [f"It would import {'.'.join(it)}."] * (it not in allowed)
        except (ValueError, IndexError, OverflowError, UnicodeError) as error:
            return [*found, f"It is no whole pickle ({error})."]
    return list(dict.fromkeys(found))


def named(data: bytes) -> list[tuple[str, str]]:
    """The globals that one whole pickle names, as module and name, without those that it puts together.

    Raises:
        ValueError: it is no pickle.
    """
    return [it for it in _Reader().named(io.BytesIO(data)) if not isinstance(it, str)]


def is_pickle(data: bytes) -> bool:
    """Whether the bytes are a whole pickle, of whatever protocol, that does more than to name a constant."""
    try:
        return sum(1 for _ in pickletools.genops(data)) > 2
    except (ValueError, IndexError, OverflowError, UnicodeError):
        return False


class _Reader:
    """Follows the strings of one pickle, by way of the memo, to where they name a global."""

    def __init__(self) -> None:
        self._memo: dict[int, str | None] = {}
        self._recent: list[str | None] = []

    def named(self, stream: io.BytesIO) -> Iterator[tuple[str, str] | str]:
        """Each global as module and name, or in words what cannot be told."""
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                module, _, name = str(argument).partition(" ")
                yield module, name
            elif opcode.name == "STACK_GLOBAL":
                module_, name_ = self._recent if len(self._recent) == 2 else (None, None)
                spelled = module_ is not None and name_ is not None
                yield (str(module_), str(name_)) if spelled else "It names something that it puts together while read."
            elif opcode.name in _OUTSIDE:
                yield f"It refers to {_OUTSIDE[opcode.name]} ({opcode.name})."
            self._follow(opcode.name, argument)

    def _follow(self, opcode: str, argument: object) -> None:
        """Keep the last two values on the stack, as long as nothing but strings was put there."""
        top = self._recent[-1] if self._recent else None
        if opcode in _TEXTS:
            self._recent = [*self._recent[-1:], str(argument)]
        elif opcode in _GETS:
            self._recent = [*self._recent[-1:], self._memo.get(int(str(argument)))]
        elif opcode in _PUTS:
            self._memo[int(str(argument))] = top
        elif opcode == "MEMOIZE":
            self._memo[len(self._memo)] = top
        elif opcode not in _SILENT:
            self._recent = []
