"""Which tests to run while something is being changed: `python -m scripts.touched` prints their folders and files.

What has changed since the branch left its upstream, committed or not, counts with the tests that mirror it. What else
depends on it is for `make test`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
ALWAYS = ("tests/kernel", "tests/catalog", "tests/test_house.py")
"""What everything stands on, and the rules of the house."""


def touched(changed: Iterable[str], root: Path = ROOT) -> list[str]:
    """The tests that go with changed files, none of them below another one.

    >>> touched(["src/everloop/kernel/ids.py", "tests/kernel/test_ids.py", "README.md"])
    ['tests/catalog', 'tests/kernel', 'tests/test_house.py']
    """
    found = {PurePosixPath(path) for path in ALWAYS}
    found.update(place for path in changed if (place := _tests_of(PurePosixPath(path), root)) is not None)
    return sorted(str(path) for path in found if not found & set(path.parents))


def changed() -> list[str]:
    """The files that differ from where the branch left its upstream, or from the last commit if it has none."""
    base = _git("merge-base", "HEAD", "@{upstream}") or ["HEAD"]
    return [*_git("diff", "--name-only", base[0]), *_git("ls-files", "--others", "--exclude-standard")]


def _tests_of(path: PurePosixPath, root: Path) -> PurePosixPath | None:
    """The tests of a module: the file that is named after it, or the nearest folder that mirrors its own."""
    if path.suffix != ".py":
        return None
    if path.parts[0] == "tests":
        place = path if path.name.startswith("test_") else path.parent
        return place if (root / place).exists() and len(place.parts) > 1 else None
    if path.parts[:2] != ("src", "everloop"):
        return None
    mirror = PurePosixPath("tests", *path.parts[2:-1])
    named = mirror / f"test_{path.name}"
    if (root / named).exists():
        return named
    while not (root / mirror).is_dir():
        mirror = mirror.parent
    return mirror if len(mirror.parts) > 1 else None


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(ROOT), *words], check=False, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


if __name__ == "__main__":
    sys.stdout.write(" ".join(touched(changed())) + "\n")
