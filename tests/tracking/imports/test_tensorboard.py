"""TensorBoard's event files come over: scalars of both kinds, hyperparameters, texts, images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.tensorboard import TensorBoardFolder

pytest.importorskip("tensorboard", reason="its reader is an extra")
Bring = Callable[..., Report]


def written(folder: Path, summaries: Sequence[tuple[int, Any]]) -> None:
    """An event file with summaries, a second apart, by their steps."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, summary in summaries:
        writer.add_event(Event(wall_time=1_700_000_000.0 + step, step=step, summary=summary))
    writer.close()


def scalar(tag: str, value: float) -> Any:
    """A scalar as TensorFlow 1 and PyTorch write it."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value)])


def tensor(tag: str, value: object, plugin: str, content: bytes = b"") -> Any:
    """A value as TensorFlow 2 writes it: a tensor, and the plugin that shows it."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.util.tensor_util import make_tensor_proto

    shown = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))
    return Summary(value=[Summary.Value(tag=tag, tensor=make_tensor_proto(value), metadata=shown)])


def only(platform: Platform) -> Any:
    """The run that there is."""
    (run,) = platform.call("runs.search", {})
    return run


def test_scalars_of_older_writers_become_metrics(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    written(tmp_path / "logs" / "a", [(step, scalar("loss", 1 / 2**step)) for step in range(20)])
    report = bring(TensorBoardFolder(tmp_path / "logs"))
    run = only(platform)
    found = platform.call("runs.history", {"id": run.id, "key": "loss"})
    assert (report.points, report.wrong, run.experiment, run.name) == (20, (), "logs", "a")
    assert [(it.step, it.value) for it in found] == [(step, 1 / 2**step) for step in range(20)]
    assert found[1].at.timestamp() == 1_700_000_001


def test_scalars_and_texts_of_newer_writers_come_too(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    image = [b"2", b"2", b"\x89PNG image"]
    summaries = [tensor("loss", 0.5, "scalars"), tensor("note", b"hello", "text"), tensor("plot", image, "images")]
    written(tmp_path / "logs", [(1, summary) for summary in summaries])
    bring(TensorBoardFolder(tmp_path / "logs"))
    run = only(platform)
    files = platform.call("runs.artifacts", {"id": run.id})
    assert run.metrics == {"loss": 0.5}
    assert [it.path for it in files] == ["note/step_1.md", "plot/step_1_0.png"]
    assert platform.resources.store.get(files[0].digest) == b"hello"


def test_hyperparameters_become_parameters(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    from google.protobuf.struct_pb2 import Value
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    given = {"rate": Value(number_value=0.1), "deep": Value(bool_value=True), "kind": Value(string_value="tree")}
    content = HParamsPluginData(session_start_info=SessionStartInfo(hparams=given)).SerializeToString()
    written(tmp_path / "logs", [(0, tensor("_hparams_/session_start_info", 0.0, "hparams", content))])
    bring(TensorBoardFolder(tmp_path / "logs"))
    assert only(platform).parameters == {"rate": "0.1", "deep": "True", "kind": "tree"}


def test_more_events_come_with_a_second_import(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    written(tmp_path / "logs", [(0, scalar("loss", 1.0))])
    bring(TensorBoardFolder(tmp_path / "logs"))
    before = next((tmp_path / "logs").iterdir())
    before.rename(before.with_name("events.out.tfevents.1.first"))
    written(tmp_path / "logs", [(1, scalar("loss", 0.5))])
    assert bring(TensorBoardFolder(tmp_path / "logs")).changed == 1
    assert len(platform.call("runs.history", {"id": only(platform).id, "key": "loss"})) == 2


def test_a_file_that_was_cut_gives_what_it_has(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    written(tmp_path / "logs", [(step, scalar("loss", 1.0)) for step in range(10)])
    file = next((tmp_path / "logs").iterdir())
    file.write_bytes(file.read_bytes()[:-5])
    bring(TensorBoardFolder(tmp_path / "logs"))
    assert len(platform.call("runs.history", {"id": only(platform).id, "key": "loss"})) == 9


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no event files"):
        TensorBoardFolder(tmp_path)
