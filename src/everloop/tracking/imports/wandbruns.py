"""A run of W&B's as its log tells it, put together record by record."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from everloop.kernel.clock import EPOCH, from_micros
from everloop.tracking.entities import RunStatus
from everloop.tracking.imports.entities import ForeignFile, ForeignRun
from everloop.tracking.imports.wandblog import Message

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

RUN = 17
"""The number of the record that says which run it is, in W&B's protocol."""
_HISTORY, _SUMMARY, _CONFIG, _STATS, _ARTIFACT, _OUTPUT, _EXIT = 2, 3, 5, 7, 8, 13, 18
_SECOND = 1_000_000
_CLOCKS = ("_step", "_timestamp", "_runtime")
_CONSOLE = "output.log"
Path = tuple[str, ...]
"""The names that lead to a value, from the outermost."""
Value = Any
"""A value of JSON's."""


class Told:
    """What the records of a run's logs have told so far."""

    def __init__(self) -> None:
        self._run: Message | None = None
        self._config: dict[str, Value] = {}
        self._summary: dict[Path, Value] = {}
        self._points: dict[str, tuple[array[int], array[int], array[float]]] = {}
        self._others: dict[str, list[bytes]] = defaultdict(list)
        self._output: list[str] = []
        self._first, self._last, self._samples, self._step = 0, 0, 0, 0
        self._exit: int | None = None
        self.artifacts: list[tuple[str, str, str]] = []
        """The files of artifacts: the artifact's name, the path in it, and where it was on the machine."""

    def take(self, record: Message) -> None:
        """Take in a record; those that are of no use here are passed over."""
        takers = {RUN: self._begun, _HISTORY: self._logged, _SUMMARY: self._summed, _CONFIG: self._configured}
        takers |= {_STATS: self._sampled, _ARTIFACT: self._kept, _OUTPUT: self._printed, _EXIT: self._ended}
        for number, taker in takers.items():
            for message in record.messages(number):
                taker(message)

    def run(self, id: str, experiment: str) -> ForeignRun:
        """The run, as far as it was told."""
        told = self._run or Message(b"")
        git = told.message(21)
        tags = {"wandb/run_id": told.text(1), "wandb/entity": told.text(2), "wandb/job_type": told.text(7)}
        tags |= {"wandb/tags": ", ".join(told.texts(10)), "wandb/sweep": told.text(12), "wandb/host": told.text(13)}
        tags["wandb/remote"] = git.text(1) if git else ""
        return ForeignRun(
            id,
            experiment,
            told.text(8) or told.text(1),
            self._status(),
            from_micros(self._first) if self._first else EPOCH,
            from_micros(max(self._first, self._last)),
            group=told.text(6),
            note=told.text(9),
            parameters=dict(_flat((), self._config)),
            tags={key: text for key, text in tags.items() if text} | self._left_in_summary(),
            revision=git.text(2) if git else "",
        )

    def series(self) -> Mapping[str, Columns]:
        """Every number that was logged more or less often; one that stands in the summary only as a single point."""
        import numpy as np

        found: dict[str, Columns] = {}
        for key, (step, at, value) in self._points.items():
            found[key] = np.array(step, np.int64), np.array(at, np.int64), np.array(value, np.float64)
        for key, value in self._summarised():
            if isinstance(value, int | float) and key not in self._points:
                found[key] = np.array([self._step]), np.array([self._last]), np.array([value], np.float64)
        return found

    def files(self) -> Iterator[ForeignFile]:
        """What was logged and is no number, a line of JSON for each value; and what the run printed."""
        for key, lines in self._others.items():
            yield ForeignFile(f"history/{key}.jsonl", b"\n".join(lines) + b"\n")
        if self._output:
            yield ForeignFile(_CONSOLE, "".join(self._output).encode())

    def _begun(self, run: Message) -> None:
        self._run = run
        self._first = min(filter(None, (self._first, _moment(run.message(17)))), default=0)
        self._exit = None
        for config in run.messages(4):
            self._configured(config)
        for summary in run.messages(5):
            self._summed(summary)

    def _configured(self, config: Message) -> None:
        for path, value in _items(config, 1):
            _put(self._config, path, value)
        for path, _ in _items(config, 2):
            _drop(self._config, path)

    def _summed(self, summary: Message) -> None:
        self._summary |= dict(_items(summary, 1))
        for path, _ in _items(summary, 2):
            self._summary = {known: value for known, value in self._summary.items() if known[: len(path)] != path}

    def _logged(self, history: Message) -> None:
        items = dict(_items(history, 1))
        number = history.message(2)
        self._step = int(items.get(("_step",), number.integer(1) if number else 0))
        told = items.get(("_timestamp",))
        at = (round(told * _SECOND) if isinstance(told, int | float) else 0) or self._last or self._first
        self._last = max(self._last, at)
        media: dict[Path, dict[str, Value]] = {path[:-1]: {} for path in items if path[-1] == "_type"}
        for path, value in items.items():
            held = next((media[path[:end]] for end in range(1, len(path)) if path[:end] in media), None)
            if held is not None:
                held[".".join(path[1:])] = value
            elif path[0] not in _CLOCKS:
                self._put(".".join(path), self._step, at, value)
        for path, value in media.items():
            self._put(".".join(path), self._step, at, value)

    def _sampled(self, stats: Message) -> None:
        at = _moment(stats.message(2)) or self._last
        self._last = max(self._last, at)
        for path, value in _items(stats, 3):
            self._put(f"system/{'.'.join(path)}", self._samples, at, value)
        self._samples += 1

    def _kept(self, artifact: Message) -> None:
        name = artifact.text(5)
        for manifest in artifact.messages(12) if artifact.text(4) != "run_table" else ():
            self.artifacts += [(name, it.text(1), it.text(6)) for it in manifest.messages(4)]

    def _printed(self, output: Message) -> None:
        self._output.append(output.text(3))

    def _ended(self, end: Message) -> None:
        self._exit = end.integer(1)

    def _put(self, key: str, step: int, at: int, value: Value) -> None:
        if not isinstance(value, int | float):
            line = {"step": step, "at": from_micros(at), "value": value}
            self._others[key].append(msgspec.json.encode(line))
            return
        if key not in self._points:
            self._points[key] = array("q"), array("q"), array("d")
        steps, times, values = self._points[key]
        steps.append(step)
        times.append(at)
        values.append(value)

    def _summarised(self) -> Iterator[tuple[str, Value]]:
        """The summary, but for clocks, what describes media, and what is private to W&B."""
        media = {path[:-1] for path in self._summary if path[-1] == "_type"}
        for path, value in self._summary.items():
            if not path[0].startswith("_") and not any(path[:end] in media for end in range(1, len(path))):
                yield ".".join(path), value

    def _left_in_summary(self) -> dict[str, str]:
        """What the summary says that no metric does: texts, and numbers that are not the last that was logged."""
        left = {}
        for key, value in self._summarised():
            known = self._points.get(key)
            logged = isinstance(value, int | float) and (known is None or str(float(value)) == str(known[2][-1]))
            if not logged:
                left[f"wandb/summary/{key}"] = _text(value)
        return left

    def _status(self) -> RunStatus:
        if self._exit is None:
            return "killed"
        return "failed" if self._exit else "finished"


def _items(message: Message, number: int) -> Iterator[tuple[Path, Value]]:
    """The items of a field, each with the names that lead to it."""
    for item in message.messages(number):
        yield tuple(item.texts(2)) or (item.text(1),), _value(item)


def _value(item: Message) -> Value:
    """A value that is written as JSON, with the words that Python has for what is no number."""
    text = item.text(16)
    try:
        return json.loads(text or "null")
    except (ValueError, RecursionError):
        return text


def _moment(time: Message | None) -> int:
    """A time in microseconds since 1970; 0 where there is none."""
    return time.integer(1) * _SECOND + time.integer(2) // 1_000 if time is not None else 0


def _put(into: dict[str, Value], path: Path, value: Value) -> None:
    for name in path[:-1]:
        if not isinstance(into.get(name), dict):
            into[name] = {}
        into = into[name]
    into[path[-1]] = value


def _drop(out: dict[str, Value], path: Path) -> None:
    for name in path[:-1]:
        inner = out.get(name)
        if not isinstance(inner, dict):
            return
        out = inner
    out.pop(path[-1], None)


def _flat(path: Path, value: Value) -> Iterator[tuple[str, str]]:
    """The values of nested JSON as texts, under the names that lead to each, joined by dots as W&B shows them."""
    if isinstance(value, dict) and (value or not path):
        for name, inner in value.items():
            if path or name != "_wandb":
                yield from _flat((*path, name), inner)
    else:
        yield ".".join(path), _text(value)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
