"""TensorBoard's event files: a folder of them is a run, its scalars metrics, its texts and images artifacts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from everloop.kernel.clock import EPOCH, from_micros
from everloop.kernel.errors import InvalidInput, Misconfigured, NotFound
from everloop.tracking.imports.bringing import mark_of
from everloop.tracking.imports.entities import ForeignExperiment, ForeignFile, ForeignRun, Found, Seen, Untaken

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

_EVENTS = "*tfevents*"
_HPARAMS = "_hparams_/session_start_info"
_SECOND = 1_000_000
_FORMATS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif"}


class TensorBoardFolder:
    """A folder of event files, and of folders of them: the `--logdir` of TensorBoard."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.")
        self._folder = folder
        self._runs: dict[str, Path] = {}
        self._seen: dict[str, Seen] = {}
        self.untaken: list[Untaken] = []
        for place in sorted({path.parent for path in folder.rglob(_EVENTS) if path.is_file()}):
            self._runs[_id_of(folder, place)] = place
        if not self._runs:
            raise InvalidInput(
                f"{folder} holds no event files of TensorBoard's.", hint="Give the folder that --logdir named."
            )

    @property
    def identity(self) -> str:
        """The folder."""
        return f"tensorboard {self._folder.resolve()}"

    def experiments(self) -> list[ForeignExperiment]:
        """One, called like the folder."""
        return [ForeignExperiment("", self._folder.resolve().name or "tensorboard", EPOCH)]

    def survey(self) -> Mapping[str, Seen]:
        """Every folder that has event files; how many points those hold is known when they are read."""
        for id, place in self._runs.items():
            state = [(it.name, it.stat().st_size) for it in sorted(place.glob(_EVENTS))]
            self._seen[id] = Seen(mark_of(state), None)
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        for id in ids:
            yield self._found(id, self._runs[id])

    def _found(self, id: str, place: Path) -> Found:
        events = _opened(place)
        tags = events.Tags()
        series: dict[str, Columns] = {tag: _scalars(events.Scalars(tag)) for tag in tags["scalars"]}
        files = [file for tag in tags["images"] for file in _images(tag, events.Images(tag))]
        parameters: dict[str, str] = {}
        for tag in tags["tensors"]:
            self._tensors(id, tag, events, series, files, parameters)
        for kind in ("histograms", "distributions", "audio"):
            for tag in tags.get(kind, ()):
                self.untaken.append(Untaken(id, f"{kind} {tag}", "these are not read"))
        times = [int(edge) for _, at, _ in series.values() if len(at) for edge in (at.min(), at.max())]
        first, last = (min(times), max(times)) if times else (0, 0)
        name = os.path.relpath(place, self._folder)
        run = ForeignRun(
            id,
            "",
            place.resolve().name if name == "." else name,
            "finished",
            from_micros(first),
            from_micros(last),
            parameters=parameters,
            tags={"tensorboard/folder": name},
        )
        return Found(run, self._seen[id].mark, series, files)

    def _tensors(
        self,
        id: str,
        tag: str,
        events: Any,
        series: dict[str, Columns],
        files: list[ForeignFile],
        parameters: dict[str, str],
    ) -> None:
        """What newer writers keep as tensors, told apart by the plugin that shows it."""
        from tensorboard.util import tensor_util

        plugin = events.SummaryMetadata(tag).plugin_data
        if plugin.plugin_name == "hparams":
            parameters.update(_hparams(plugin.content) if tag == _HPARAMS else {})
            return
        found = [(it, tensor_util.make_ndarray(it.tensor_proto)) for it in events.Tensors(tag)]
        if plugin.plugin_name == "scalars":
            points = [(it.step, round(it.wall_time * _SECOND), float(value)) for it, value in found]
            series[tag] = _columns(points)
        elif plugin.plugin_name == "text":
            texts = [(it.step, b"\n\n".join(bytes(part) for part in value.reshape(-1))) for it, value in found]
            files += [ForeignFile(f"{tag}/step_{step}.md", text) for step, text in dict(texts).items()]
        elif plugin.plugin_name == "images":
            for it, value in found:
                # A width, a height, then the images.
                images = enumerate(value.reshape(-1)[2:])
                files += [_image(f"{tag}/step_{it.step}_{number}", bytes(data)) for number, data in images]
        else:
            self.untaken.append(Untaken(id, f"{plugin.plugin_name or 'tensors'} {tag}", "these are not read"))


def _opened(place: Path) -> Any:
    """The reader of a folder's event files, which keeps every event (`Any`: it has no types).

    Raises:
        Misconfigured: TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ModuleNotFoundError:
        raise Misconfigured("TensorBoard is not installed.", hint="pip install everloop[tensorboard]") from None
    everything = dict.fromkeys(("scalars", "images", "tensors"), 0)
    events = EventAccumulator(str(place), size_guidance=everything, purge_orphaned_data=False)
    return events.Reload()


def _scalars(found: Sequence[Any]) -> Columns:
    return _columns([(it.step, round(it.wall_time * _SECOND), it.value) for it in found])


def _columns(points: Sequence[tuple[int, int, float]]) -> Columns:
    import numpy as np

    step, at, value = zip(*points, strict=True)
    return np.array(step, np.int64), np.array(at, np.int64), np.array(value, np.float64)


def _images(tag: str, found: Sequence[Any]) -> Iterator[ForeignFile]:
    yield from (_image(f"{tag}/step_{it.step}", it.encoded_image_string) for it in found)


def _image(path: str, data: bytes) -> ForeignFile:
    suffix = next((suffix for magic, suffix in _FORMATS.items() if data.startswith(magic)), "bin")
    return ForeignFile(f"{path}.{suffix}", data)


def _hparams(content: bytes) -> dict[str, str]:
    """The hyperparameters of a session."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    said = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    values = {key: getattr(value, value.WhichOneof("kind") or "string_value") for key, value in said.items()}
    return {key: str(value) for key, value in values.items()}


def _id_of(folder: Path, place: Path) -> str:
    return blake3(f"tensorboard {folder.resolve()} {os.path.relpath(place, folder)}".encode()).hexdigest()[:32]
