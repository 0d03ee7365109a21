"""What a process needs to know that goes on with a run: how far its metrics were counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from everloop.kernel.errors import EverloopError
from everloop.sdk.recording.shipper import Shipper
from everloop.tracking.journals.journal import entries, journals
from everloop.tracking.journals.records import Measured
from everloop.tracking.points import latest_of, unpack


def next_steps(folder: Path, shipper: Shipper | None) -> dict[str, int]:
    """The step after the last of each metric of a run, by what its platform says and its journals here."""
    known = {} if shipper is None else _on_platform(folder.name, shipper)
    for key, step in _in_journals(folder):
        known[key] = max(known.get(key, 0), step + 1)
    return known


def _on_platform(run: str, shipper: Shipper) -> dict[str, int]:
    if not shipper.sync():
        return {}
    try:
        call = shipper.destination.call
        keys = call("runs.get", {"id": run}).metrics
        return {key: max(point.step for point in call("runs.history", {"id": run, "key": key})) + 1 for key in keys}
    except EverloopError:
        return {}


def _in_journals(folder: Path) -> Iterable[tuple[str, int]]:
    for journal in journals(folder):
        for entry in entries(journal, whole=True):
            if isinstance(entry.record, Measured):
                for key, latest in latest_of(unpack(entry.record.segment)).items():
                    yield key, latest.step
