"""Which files of a folder are left out: `.everloopignore` in any of its folders, in the syntax of `.gitignore`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

FILE = ".everloopignore"
OURS = ".everloop"
"""Names that begin so are Everloop's own (half-written files, the list of chosen paths) and in no version."""
_REPOSITORIES = frozenset((".git", ".hg"))


def is_ours(name: str) -> bool:
    """Whether a name is left out of every version, whatever the rules say: a code repository's, or Everloop's own."""
    return name in _REPOSITORIES or (name.startswith(OURS) and name != FILE)


class Rules:
    """The rules that hold in a folder: its own after those of the folders above. Later lines go before earlier ones."""

    def __init__(self, above: Rules | None = None, folder: str = "", lines: Iterable[str] = ()) -> None:
        self._above = above
        self._prefix = f"{folder}/" if folder else ""
        self._lines = tuple(lines)
        self._spec: GitIgnoreSpec | None = None

    @property
    def some(self) -> bool:
        """Whether there is any rule at all."""
        return bool(self._lines) or (self._above is not None and self._above.some)

    @property
    def signature(self) -> bytes:
        """Equal for equal rules; empty for none."""
        if not self.some:
            return b""
        above = self._above.signature if self._above else b""
        return blake3(above + "\n".join((self._prefix, *self._lines)).encode("utf-8", "surrogateescape")).digest(16)

    def ignores(self, path: str, *, folder: bool = False) -> bool:
        """Whether a path below the top is left out, judged by itself: what is in an ignored folder is not asked for."""
        if self._lines:
            verdict = self._patterns().check_file(path[len(self._prefix) :] + ("/" if folder else "")).include
            if verdict is not None:
                return verdict
        return self._above is not None and self._above.ignores(path, folder=folder)

    def _patterns(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        if self._spec is None:
            self._spec = GitIgnoreSpec.from_lines(self._lines)
        return self._spec
