"""Living beside git or Mercurial: they keep the metafile, ignore the folder, and merge two metafiles with our help."""

from __future__ import annotations

import os
from pathlib import Path

from everloop.datasets.workspace.metafile import SUFFIX, metafile_of
from everloop.datasets.workspace.revision import code_of, repository_of, run_git
from everloop.store.service import digest_of

DRIVER = "everloop data merge-driver"
_ATTRIBUTE = f"*{SUFFIX} merge=everloop"
_HG_MERGE = f"""
[merge-patterns]
**{SUFFIX} = everloop

[merge-tools]
everloop.executable = everloop
everloop.args = data merge-driver $base $local $other
everloop.premerge = False
"""


def install(folder: Path) -> tuple[str, ...]:
    """Let the code's repository ignore a folder and merge its metafile; what was changed for that, to be told.

    A repository that ignores the metafile too has nothing to do with the folder, and is left as it is.
    """
    if _is_ignored(folder):
        return ()
    system, top = repository_of(folder.parent)
    if system == "git":
        return (*_ignore_in_git(folder), *install_driver(folder.parent))
    if system == "hg":
        return (*_ignore_in_mercurial(folder, top), *install_driver(folder.parent))
    return ()


def install_driver(folder: Path) -> tuple[str, ...]:
    """Let the repository that a folder is in merge metafiles; what was changed for that, to be told."""
    system, top = repository_of(folder)
    if system == "git":
        return _git_driver(top)
    if system == "hg":
        return _mercurial_driver(top)
    return ()


def noted(note: str, folder: Path) -> str:
    """A note with the state of the code behind it, such as `Code: git 1b2c… on main, changed (difference 9f0a…)`."""
    if _is_ignored(folder):
        return note
    code = code_of(folder.parent)
    if not code.system:
        return note
    changed = f", changed (difference {digest_of(code.difference)})" if code.dirty else ""
    line = f"Code: {code.system} {code.revision or 'before the first commit'} on {code.branch}{changed}"
    return f"{note}\n\n{line}" if note else line


def _is_ignored(folder: Path) -> bool:
    """Whether git leaves even the metafile out: then the repository around has nothing to do with the folder."""
    file = metafile_of(folder.resolve())
    return run_git(file.parent, "check-ignore", "--quiet", file.name) is not None


def _ignore_in_git(folder: Path) -> tuple[str, ...]:
    file = folder.parent / ".gitignore"
    return (f"{file} now leaves out /{folder.name}/.",) if _append(file, f"/{_escaped(folder.name)}/") else ()


def _ignore_in_mercurial(folder: Path, top: Path) -> tuple[str, ...]:
    path = Path(os.path.relpath(folder.resolve(), top)).as_posix()
    file = top / ".hgignore"
    return (f"{file} now leaves out {path}.",) if _append(file, f"rootglob:{path}") else ()


def _git_driver(top: Path) -> tuple[str, ...]:
    told = []
    if _append(top / ".gitattributes", _ATTRIBUTE):
        told.append(f"{top / '.gitattributes'} now has metafiles merged by Everloop.")
    if run_git(top, "config", "--get", "merge.everloop.driver") is None:
        run_git(top, "config", "merge.everloop.name", "three-way merge of the trees that metafiles name")
        run_git(top, "config", "merge.everloop.driver", f"{DRIVER} %O %A %B")
        told.append("The merge driver is in this clone's git config; in another clone: everloop data init.")
    return tuple(told)


def _mercurial_driver(top: Path) -> tuple[str, ...]:
    file = top / ".hg" / "hgrc"
    text = file.read_text() if file.exists() else ""
    if "everloop.executable" in text:
        return ()
    file.write_text(text + _HG_MERGE)
    return (f"{file} now has metafiles merged by Everloop; in another clone: everloop data init.",)


def _append(file: Path, line: str) -> bool:
    """Whether a line was added to a file; not if it stands there already."""
    text = file.read_text() if file.exists() else ""
    if line in text.splitlines():
        return False
    file.write_text(f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n")
    return True


def _escaped(name: str) -> str:
    """A name as a pattern of `.gitignore` that means just this name."""
    return "".join(f"\\{letter}" if letter in "*?[\\ #!" else letter for letter in name)
