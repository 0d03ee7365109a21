"""What every stream, and every place for its results, must do: files and Redis."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from everloop.app.places import InstalledStreams
from everloop.kernel.errors import Conflict, InvalidInput
from everloop.serving.batch.stream import Record, Refusal, Results, Stream
from tests import servers

_numbers = itertools.count()


class Place:
    """A stream to put records into, and a place for results."""

    def __init__(self, where: str, out: str, put: Callable[[list[bytes]], None], kept: Callable[[], list[Any]]) -> None:
        self.where, self.out, self.put, self.kept = where, out, put, kept

    def stream(self) -> Stream:
        return InstalledStreams().stream(self.where)

    def results(self) -> Results:
        return InstalledStreams().results(self.out)


def _appended(path: Path, values: list[bytes]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(value + b"\n" for value in values))


def _parts(folder: Path) -> list[Any]:
    return [
        msgspec.json.decode(line) for path in sorted(folder.glob("part-*")) for line in path.read_bytes().splitlines()
    ]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[str]:
    with servers.redis() as url:
        yield url


@pytest.fixture(params=["log", "folder", pytest.param("redis", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "redis":
        return _redis(request.getfixturevalue("redis_server"))
    folder = tmp_path / "in"
    folder.mkdir()
    numbers = itertools.count()
    is_log = request.param == "log"

    def put(values: list[bytes]) -> None:
        _appended(folder / ("log.jsonl" if is_log else f"{next(numbers):03}.jsonl"), values)

    where = folder / "log.jsonl" if is_log else folder
    return Place(str(where), str(tmp_path / "out"), put, lambda: _parts(tmp_path / "out"))


def _redis(url: str) -> Place:
    import redis

    name, client = f"in{next(_numbers)}", redis.Redis.from_url(url)

    def put(values: list[bytes]) -> None:
        for value in values:
            client.xadd(name, {"value": value})

    def kept() -> list[Any]:
        return [msgspec.json.decode(fields[b"value"]) for _, fields in client.xrange(f"{name}-out")]

    return Place(f"{url}?stream={name}", f"{url}?stream={name}-out", put, kept)


def test_records_come_in_their_order_each_once(place: Place) -> None:
    place.put([b"1", b"2", b"3"])
    stream = place.stream()
    first = stream.read("", 2, 0.1)
    rest = stream.read(first[-1].position, 10, 0.1)
    assert [record.value for record in [*first, *rest]] == [b"1", b"2", b"3"]
    assert stream.read(rest[-1].position, 10, 0.0) == []


def test_what_comes_later_comes_after_what_was_read(place: Place) -> None:
    place.put([b"1"])
    stream = place.stream()
    position = stream.read("", 10, 0.1)[-1].position
    place.put([b"2"])
    assert [record.value for record in stream.read(position, 10, 0.5)] == [b"2"]


def test_who_starts_again_gets_what_was_not_finished(place: Place) -> None:
    place.put([b"1", b"2", b"3"])
    stream = place.stream()
    first = stream.read("", 3, 0.1)
    stream.done(first[0].position)
    stream.close()
    again = place.stream().read(first[0].position, 10, 0.1)
    assert again == first[1:]


def test_the_lag_is_what_waits(place: Place) -> None:
    place.put([b"1", b"2"])
    stream = place.stream()
    assert stream.lag("") > 0
    position = stream.read("", 10, 0.1)[-1].position
    assert stream.lag(position) == 0


def test_results_are_there_with_their_position_after_a_restart(place: Place) -> None:
    results = place.results()
    assert results.position() == ""
    results.write([b'{"a":1}', b'{"a":2}'], [], "log.jsonl:12")
    results.write([], [Refusal(Record("log.jsonl:20", b"torn"), "no JSON")], "log.jsonl:20")
    results.close()
    assert place.results().position() == "log.jsonl:20"
    assert place.kept() == [{"a": 1}, {"a": 2}]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b'{"x":1}\n{"x"')
    stream = InstalledStreams().stream(str(log))
    (first,) = stream.read("", 10, 0.0)
    with log.open("ab") as file:
        file.write(b":2}\n")
    (second,) = stream.read(first.position, 10, 0.0)
    assert second.value == b'{"x":2}'


def test_a_log_that_shrinks_is_another_one(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"1\n2\n")
    stream = InstalledStreams().stream(str(log))
    position = stream.read("", 10, 0.0)[-1].position
    log.write_bytes(b"1\n")
    with pytest.raises(Conflict, match="another file"):
        stream.read(position, 10, 0.0)


def test_what_was_refused_lies_apart(tmp_path: Path) -> None:
    results = InstalledStreams().results(str(tmp_path))
    results.write([], [Refusal(Record("log:7", b"torn"), "It is not JSON.")], "log:7")
    (path,) = (tmp_path / "_refused").glob("*.jsonl")
    told = msgspec.json.decode(path.read_bytes())
    assert told == {"position": "log:7", "reason": "It is not JSON.", "record": "torn"}


def test_a_stream_of_redis_needs_its_name() -> None:
    with pytest.raises(InvalidInput, match="names no stream"):
        InstalledStreams().stream("redis://localhost:1/0")
