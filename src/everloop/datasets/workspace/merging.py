"""Merging metafiles where git or Mercurial merge code: the trees that they name are merged, path by path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from everloop.datasets.history.filediff import extent
from everloop.datasets.history.filemerge import merge_trees, settle_whole
from everloop.datasets.workspace.metafile import parse_metafile, write_metafile
from everloop.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from everloop.datasets.workspace.workspace import Versions


def merge_metafiles(versions: Versions, base: Path, ours: Path, theirs: Path) -> list[str]:
    """Merge THEIRS into OURS, both made from BASE; the paths that both sides changed differently (OURS stays then).

    The merged tree is no version yet: `everloop data checkout` and `add` after the code's merge make it one.

    Raises:
        InvalidInput: the metafiles are of different datasets.
        NotFound: the store does not have a side's tree; pull it first.
    """
    one, other = (parse_metafile(path.read_bytes(), str(path)) for path in (ours, theirs))
    if one.dataset != other.dataset:
        raise InvalidInput(f"{one.dataset!r} and {other.dataset!r} are two datasets.", hint="Take one metafile.")
    first = base.read_bytes()
    root = parse_metafile(first, str(base)).root if first.strip() else None
    merged = merge_trees(versions.store, root, (one.root, other.root), settle_whole("fail"), "fail")
    if not merged.conflicts:
        known = next((side for side in (one, other) if side.root == merged.digest), None)
        size = extent(versions.store, merged.digest)
        fresh = msgspec.structs.replace(one, root=merged.digest, files=size.files, size=size.bytes)
        write_metafile(ours, known or fresh)
    return [conflict.path for conflict in merged.conflicts]
