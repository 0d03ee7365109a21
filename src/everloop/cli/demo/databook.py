"""The account of the data: what came in and what was refused, what each version cost, where all of it is, again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.app import settings as settings_file
from everloop.cli.demo.account import Copy, Correction, DataAccount, Keeping, Refusal, SetAside, SubjectFound, Taken
from everloop.datasets.entities import Snapshot
from everloop.kernel.ids import parse_urn

if TYPE_CHECKING:
    from everloop.app.platform import Platform
    from everloop.datasets.history.entities import RowDiff, Tag
    from everloop.datasets.quality.suites.entities import Gating
    from everloop.datasets.splits.entities import Split, SubjectReport

FILES = "deliveries"
ELSEWHERE = "elsewhere"
"""The folder in the home that stands for another place: a remote, and a second home that pulls from it."""
_REMOTE = "colleagues"
_PUSHED = ("planes", "flights")
_QUARANTINE = ".quarantine"


class DataBook:
    """Reads what became of the data, and does with it what teams do: tag, push, pull elsewhere, look after the store.

    `derived` are queries by which datasets are made of the flights, to be made again elsewhere.
    """

    def __init__(self, platform: Platform, model: str, derived: Mapping[str, str]) -> None:
        self._platform = platform
        self._home = platform.resources.home
        self._model = model
        self._derived = derived

    def account(self) -> DataAccount:
        """Everything that is to be said of the data. Called again, it says the same."""
        tagged = self._tag_training()
        received, flights = self._log(FILES), self._log("flights")
        splits: list[Split] = [split for one in self._call("datasets.list") for split in self._splits(one.name)]
        return DataAccount(
            received=len(received),
            received_bytes=received[0].bytes,
            refused=[self._refusal(tag) for tag in self._call("datasets.tags", name=FILES)],
            quarantined=self._quarantined(),
            suites=len(self._suites()),
            expectations=sum(self._expectations(name) for name in self._suites()),
            taken=[_taken(one) for one in flights[::-1]],
            correction=self._correction(),
            splits=len(splits),
            splits_proved=sum(split.proof.holds for split in splits),
            tagged=tagged,
            subject=self._subject(flights[0]),
            copy=self._copy(),
            keeping=self._keeping(),
        )

    def _call(self, usecase: str, **arguments: object) -> Any:
        return self._platform.call(usecase, arguments)

    def _log(self, name: str) -> list[Snapshot]:
        found: list[Snapshot] = self._call("datasets.log", name=name)
        return found

    def _names(self) -> list[str]:
        return [one.name for one in self._call("datasets.list")]

    def _splits(self, name: str) -> list[Split]:
        found: list[Split] = self._call("datasets.splits", name=name)
        return found

    def _suites(self) -> list[str]:
        """The datasets whose suites gate somewhere."""
        gatings: list[Gating] = [self._call("datasets.gates", name=name) for name in self._names()]
        return [gating.dataset for gating in gatings if gating.gates]

    def _expectations(self, name: str) -> int:
        return len(self._call("datasets.expectations", name=name).expectations)

    def _refusal(self, tag: Tag) -> Refusal:
        version: Snapshot = self._call("datasets.get", name=FILES, version=tag.version)
        return Refusal(version.note.partition("\n")[0], tag.note)

    def _quarantined(self) -> list[SetAside]:
        asides = [self._log(name)[0] for name in self._names() if name.endswith(_QUARANTINE)]
        return [
            SetAside(one.dataset.removesuffix(_QUARANTINE), one.rows, one.note.partition(": ")[2]) for one in asides
        ]

    def _correction(self) -> Correction:
        """What the merge of the corrected registry changed of the first."""
        merged = next(one for one in self._log("planes") if len(one.base) > 1)
        changed: RowDiff = self._call(
            "datasets.diff_rows", name="planes", before=1, after=merged.version, keys=("tailnum",)
        )
        cells = sum(changed.changed_cells.values())
        return Correction("planes", merged.version, merged.base, merged.rows, changed.changed, cells)

    def _tag_training(self) -> str:
        """Name for good what the champion was trained on."""
        champion = self._call("models.version", name=self._model, alias="champion")
        training = parse_urn(champion.trained.training)
        name = f"{self._model}-{champion.version}"
        note = f"What {self._model}@{champion.version} was trained on"
        self._call("datasets.tag", name=training.name, tag=name, at=training.version, note=note)
        return f"{training.name}@{name}"

    def _subject(self, flights: Snapshot) -> SubjectFound:
        """Everywhere that the plane of the year's first flight is."""
        tail = self._call("datasets.preview", name="flights", version=1, limit=1)[0]["tailnum"]
        found: SubjectReport = self._call("datasets.subject", name="flights", column="tailnum", value=tail)
        rows = {holding.snapshot: holding.rows for holding in found.holdings}
        newest = self._platform.session().urn("dataset", flights.dataset, flights.version)
        models = {made.urn for made in found.made if parse_urn(made.urn).kind == "model"}
        return SubjectFound(tail, rows[newest], len(rows), len(models))

    def _copy(self) -> Copy:
        """Push to a folder that stands for a bucket, pull from it in a second home, and derive there again."""
        from everloop.app.platform import open_platform
        from everloop.datasets.remotes.places import Places

        url = (self._home / ELSEWHERE / "remote").absolute().as_uri()
        self._call("remotes.add", name=_REMOTE, url=url)
        for name in _PUSHED:
            self._call("remotes.push", name=_REMOTE, dataset=name)
        held = self._platform.resources.ports.get(Places).store(url).stats()
        second = open_platform(_second_home(self._home / ELSEWHERE / "home", self._platform))
        try:
            second.call("remotes.add", {"name": _REMOTE, "url": url})
            for name in _PUSHED:
                second.call("remotes.pull", {"name": _REMOTE, "dataset": name})
            for name, sql in self._derived.items():
                second.call("datasets.derive", {"name": name, "sql": sql, "inputs": ("flights",)})
            equal = {name: self._same(second, name) for name in (*_PUSHED, *self._derived)}
        finally:
            second.close()
        return Copy(held.objects, held.bytes, equal)

    def _same(self, second: Platform, name: str) -> bool:
        here: Snapshot = self._call("datasets.get", name=name)
        there: Snapshot = second.call("datasets.get", {"name": name})
        return here.digest == there.digest

    def _keeping(self) -> Keeping:
        """How the store stands: its size, what a garbage collection would free, and whether it is whole."""
        sweep = self._call("store.gc", dry_run=True, grace="0s")
        found = self._call("store.fsck")
        versions = [one for name in self._names() for one in self._log(name)]
        logical = sum(one.bytes for one in versions)
        return Keeping(
            versions=len(versions),
            logical_bytes=logical,
            objects=found.objects,
            bytes=found.bytes,
            dead_objects=sum(each.objects for each in sweep.dead),
            dead_bytes=sum(each.bytes for each in sweep.dead),
            whole=found.whole,
        )


def _taken(version: Snapshot) -> Taken:
    """A version of the flights, and the bytes that it added to the store."""
    layer = version.layers[-1] if version.layers else None
    parts = [part for part in (layer.added, layer.deleted) if part] if layer else []
    return Taken(version.version, version.note, version.rows, sum(part.bytes for part in parts) or version.bytes)


def _second_home(folder: Path, first: Platform) -> settings_file.Loaded:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"home": str(folder), "project": first.settings.values.project}
    return settings_file.load(values, environment={}, folder=folder)
