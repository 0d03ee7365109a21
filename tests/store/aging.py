"""Making a store in a folder older than it is, so that graces have passed."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

FORM = "%Y%m%dT%H%M%SZ"


def age(folder: Path, days: float = 2) -> None:
    """Let everything in a store have been written, and condemned, so many days earlier."""
    for path in folder.rglob("*"):
        if path.is_file():
            before = path.stat().st_mtime - days * 86_400
            os.utime(path, (before, before))
    for path in (folder / "trash").glob("*-*"):
        stamp, _, rest = path.name.partition("-")
        earlier = datetime.strptime(stamp, FORM).replace(tzinfo=UTC) - timedelta(days=days)
        path.rename(path.with_name(f"{earlier.strftime(FORM)}-{rest}"))
