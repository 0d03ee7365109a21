"""Arrow without pandas: what a process should do before it first makes an Arrow array."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache


class _Hidden:
    """An importer that finds no pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


@cache
def keep_pandas_out() -> None:
    """Let Arrow look for pandas once, in vain.

    With pandas installed, Arrow imports it at the first array of the process, used or not: 1.5 s of CPU and 60 MB.
    `Table.to_pandas` looks again and works as ever. Calling this late, or twice, is harmless.
    """
    import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([True])
    finally:
        sys.meta_path.remove(hidden)
