"""Checkpoints: files of a run under `checkpoints/<step>/`, of which the newest is where it goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from everloop.kernel.errors import InvalidInput
from everloop.sdk.recording.files import checked
from everloop.tracking.entities import Artifact

FOLDER = "checkpoints"
_DIGITS = 12


class Checkpoint(NamedTuple):
    """What was kept at a step: the files by name, in a folder of this machine."""

    step: int
    files: dict[str, Path]


def named(step: int, files: str | Path | Mapping[str, str | Path | bytes]) -> dict[str, bytes | Path]:
    """The files of a checkpoint by their paths within the run.

    Raises:
        InvalidInput: the step is negative or too large, or there are no files.
    """
    if not 0 <= step < 10**_DIGITS:
        raise InvalidInput(f"A checkpoint has a step from 0 on, not {step}.")
    given = files if isinstance(files, Mapping) else _below(Path(files))
    if not given:
        raise InvalidInput(f"The checkpoint of step {step} has no files.")
    contents = {name: content if isinstance(content, bytes) else Path(content) for name, content in given.items()}
    return {checked(f"{FOLDER}/{step:0{_DIGITS}d}/{name}"): content for name, content in contents.items()}


def latest(known: Iterable[Artifact]) -> tuple[int, dict[str, Artifact]] | None:
    """The step and the files by name of the newest checkpoint among the files of a run."""
    found: dict[int, dict[str, Artifact]] = {}
    for artifact in known:
        parts = PurePosixPath(artifact.path).parts
        if len(parts) > 2 and parts[0] == FOLDER and parts[1].isdecimal():
            found.setdefault(int(parts[1]), {})["/".join(parts[2:])] = artifact
    return (max(found), found[max(found)]) if found else None


def restored(
    known: Iterable[Artifact], write: Callable[[Artifact, Path], None], folder: str | Path | None
) -> Checkpoint | None:
    """The newest checkpoint, written to a folder (a temporary one, if none is named)."""
    newest = latest(known)
    if newest is None:
        return None
    step, artifacts = newest
    target = Path(folder or tempfile.mkdtemp(prefix="everloop-checkpoint-"))
    files = {name: target / name for name in artifacts}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(artifacts[name], path)
    return Checkpoint(step, files)


def _below(path: Path) -> dict[str, Path]:
    if not path.is_dir():
        return {path.name: path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
