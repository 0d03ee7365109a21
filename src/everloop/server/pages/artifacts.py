"""A file of a run: its beginning as text or as a table, an image, a sound."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec
from markupsafe import Markup

from everloop.server.pages import media
from everloop.server.pages.markdown import html
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import plain, pretty
from everloop.server.security import SECURITY_HEADERS
from everloop.tracking.entities import Artifact, Run

_HEAD = 100_000
_ROWS, _COLUMNS = 100, 50


class Preview(msgspec.Struct, frozen=True):
    """What is shown of a file: one of these, or a word on why there is nothing."""

    text: str = ""
    rendered: Markup | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    image: bool = False
    sound: bool = False
    told: str = ""


class ArtifactPage(msgspec.Struct, frozen=True):
    """A file of a run."""

    run: Run
    artifact: Artifact
    name: str
    preview: Preview


def artifact(visit: Visit) -> Page:
    """A file of a run."""
    run: Run = visit.ask("runs.get", id=visit.path["id"])
    found = media.at(visit.ask("runs.artifacts", id=run.id), visit.path["file"])
    name = PurePosixPath(found.path).name
    shown = preview(visit, found)
    policy = f"{SECURITY_HEADERS['content-security-policy']}; media-src 'self'" if shown.sound else ""
    return Page("artifact.html", name, ArtifactPage(run, found, name, shown), policy=policy)


def preview(visit: Visit, file: Artifact) -> Preview:
    """What is shown of a file."""
    ending = PurePosixPath(file.path).suffix.lower()
    if ending == ".parquet" or media.type_of(file.path):
        if file.size > media.LARGEST:
            return Preview(told="It is too large to be shown here.")
        shown = Preview(image=ending in media.IMAGES, sound=ending in media.SOUNDS)
        return _parquet(visit, file) if ending == ".parquet" else shown
    head = visit.content(file.digest, _HEAD)
    if head is None:
        return Preview(told="You may not see what is in it, or it is gone.")
    if b"\0" in head:
        return Preview(told="It is not text.")
    text = head.decode(errors="replace")
    more = f"The first {_HEAD:,} of {file.size:,} bytes." if file.size > _HEAD else ""
    if ending in (".csv", ".tsv"):
        return _table(text, "\t" if ending == ".tsv" else ",", more)
    if ending in (".md", ".markdown"):
        return Preview(rendered=html(text), told=more)
    return Preview(text=_json(text) if ending == ".json" and not more else text, told=more or _nothing(text))


def _nothing(text: str) -> str:
    return "" if text else "It is empty."


def _json(text: str) -> str:
    try:
        return pretty(msgspec.json.decode(text))
    except msgspec.DecodeError:
        return text


def _table(text: str, delimiter: str, more: str) -> Preview:
    try:
        rows = [row[:_COLUMNS] for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error:
        return Preview(text=text, told=more)
    if not rows:
        return Preview(told="It is empty.")
    told = f"The first {_ROWS} rows." if len(rows) > _ROWS + 1 else more
    width = len(rows[0])
    body = [(row + [""] * width)[:width] for row in rows[1 : _ROWS + 1]]
    return Preview(columns=rows[0], rows=body, told=told)


def _parquet(visit: Visit, file: Artifact) -> Preview:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = visit.content(file.digest, media.LARGEST)
    if content is None:
        return Preview(told="You may not see what is in it, or it is gone.")
    try:
        opened = pq.ParquetFile(pa.BufferReader(content))
        names = opened.schema_arrow.names[:_COLUMNS]
        first = next(opened.iter_batches(_ROWS, columns=names), None)
    except (pa.ArrowException, OSError, ValueError):
        return Preview(told="It calls itself Parquet and cannot be read as that.")
    rows = [[plain(row[name]) for name in names] for row in (first.to_pylist() if first else [])]
    told = f"{opened.metadata.num_rows:,} rows of {opened.metadata.num_columns} columns; the first {len(rows)} rows."
    return Preview(columns=names, rows=rows, told=told)
