"""Compiled Python: equal bytes for equal sources, without a path of the machine that makes them.

A package is read-only where it runs, so without these every start would compile again.
"""

from __future__ import annotations

import importlib.util
import marshal
import warnings
from pathlib import Path
from types import CodeType
from typing import cast

_UNCHECKED = b"\x01\x00\x00\x00"
_VERSION = 2
"""Marshal's later versions write references, which depend on what else the process holds at the moment."""
_HEADER = 16


def place_of(path: str) -> str:
    """Where Python looks for a source's bytecode: `a/b.py` → `a/__pycache__/b.cpython-311.pyc`."""
    return importlib.util.cache_from_source(path, optimization="")


def compiled(source: bytes, shown: str, near: Path | None = None) -> bytes | None:
    """The bytecode of a source, tracebacks of which name `shown`; none for what does not compile.

    `near` is the source's own file: bytecode that Python keeps beside it spares compiling.
    """
    code = _kept(near) if near is not None else None
    if code is None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(source, shown, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return None
    renamed = _renamed(code, shown)
    return (
        importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + marshal.dumps(renamed, _VERSION)
    )


def _kept(near: Path) -> CodeType | None:
    """What Python compiled before, if it is of this very source: by its time and size, as Python itself judges."""
    try:
        data = Path(place_of(str(near))).read_bytes()
        state = near.stat()
    except OSError:
        return None
    stamp = (int(state.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (state.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )
    if data[:8] != importlib.util.MAGIC_NUMBER + bytes(4) or data[8:_HEADER] != stamp:
        return None
    try:
        return cast(CodeType, marshal.loads(data[_HEADER:]))  # Python's own, which it would run as well.
    except (ValueError, EOFError, TypeError):
        return None


def _renamed(code: CodeType, shown: str) -> CodeType:
    inner = tuple(_renamed(value, shown) if isinstance(value, CodeType) else value for value in code.co_consts)
    return code.replace(co_filename=shown, co_consts=inner)
