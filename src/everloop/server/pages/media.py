"""Which files of runs can be seen or heard in a browser, and what they may do there: nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from everloop.kernel.errors import NotFound
from everloop.tracking.entities import Artifact

IMAGES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".svg": "image/svg+xml",
}  # fmt: skip
SOUNDS = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; frame-ancestors 'none'"
"""What a file may do that somebody logged, opened by itself: an SVG may hold scripts."""
LARGEST = 32 << 20
"""Larger images, sounds and Parquet files are not shown, only downloaded."""


def type_of(path: str) -> str:
    """The media type of an image or a sound; empty for anything else."""
    return (IMAGES | SOUNDS).get(PurePosixPath(path).suffix.lower(), "")


def at(artifacts: Sequence[Artifact], path: str) -> Artifact:
    """The file at a path.

    Raises:
        NotFound: there is none.
    """
    found = next((each for each in artifacts if each.path == path), None)
    if found is None:
        raise NotFound(f"The run has no file {path[:80]!r}.", hint="Its page lists what it has.")
    return found
