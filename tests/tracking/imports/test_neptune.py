"""Neptune's runs come over as they were: values, series, files, forks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.neptune import MULTIPLIER, NeptuneExport, id_of
from tests.tracking.imports.conftest import AT, exported, point, value

Bring = Callable[..., Report]


def test_values_become_parameters_and_those_of_neptune_itself_tags(
    tmp_path: Path, platform: Platform, bring: Bring
) -> None:
    exported(
        tmp_path,
        "SAN-1",
        [
            value("config/rate", "float", 0.1),
            value("config/layers", "int", 3),
            value("config/shuffle", "bool", True),
            value("labels", "string_set", ["a", "b"]),
            value("sys/name", "string", "first try"),
            value("sys/owner", "string", "ada"),
            value("sys/description", "string", "# Why"),
            value("sys/creation_time", "datetime", AT),
        ],
    )
    bring(NeptuneExport(tmp_path))
    run = platform.call("runs.get", {"id": id_of("ops/flights", "SAN-1")})
    assert run.parameters == {
        "config/rate": "0.1",
        "config/layers": "3",
        "config/shuffle": "True",
        "labels": "a, b",
    }
    assert (run.name, run.user, run.note, run.started, run.status) == ("first try", "ada", "# Why", AT, "finished")
    assert run.tags["sys/name"] == "first try"
    assert run.tags["neptune/run_id"] == "SAN-1"


def test_series_of_numbers_become_metrics_with_every_point(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    values = [1.0, math.nan, math.inf, -0.0]
    exported(tmp_path, "SAN-1", [point("train/loss", str(step), it) for step, it in enumerate(values)])
    report = bring(NeptuneExport(tmp_path))
    found = platform.call("runs.history", {"id": id_of("ops/flights", "SAN-1"), "key": "train/loss"})
    assert (report.points, report.checked, report.wrong) == (4, 1, ())
    assert [it.step for it in found] == [0, 1, 2, 3]
    assert [str(it.value) for it in found] == [str(it) for it in values]


def test_steps_with_decimal_places_are_multiplied_and_a_tag_says_by_what(
    tmp_path: Path, platform: Platform, bring: Bring
) -> None:
    exported(tmp_path, "SAN-1", [point("loss", "0.25", 1.0), point("loss", "1.5", 0.5)])
    bring(NeptuneExport(tmp_path))
    id = id_of("ops/flights", "SAN-1")
    assert [it.step for it in platform.call("runs.history", {"id": id, "key": "loss"})] == [25, 150]
    assert platform.call("runs.get", {"id": id}).tags[MULTIPLIER] == "100"


def test_parts_of_a_run_are_one_run(tmp_path: Path, bring: Bring) -> None:
    exported(tmp_path, "SAN-1", [point("loss", "0", 1.0)])
    exported(tmp_path, "SAN-1", [point("loss", "1", 0.5)], part=1)
    report = bring(NeptuneExport(tmp_path))
    assert (report.runs, report.points) == (1, 2)


def test_a_fork_names_the_run_that_it_came_from(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    exported(tmp_path, "first", [value("x", "int", 1)])
    exported(tmp_path, "second", [value("sys/forking/parent", "string", "first")])
    bring(NeptuneExport(tmp_path))
    assert platform.call("runs.get", {"id": id_of("ops/flights", "second")}).parent == id_of("ops/flights", "first")


def test_files_come_with_their_bytes_and_series_of_files_with_their_steps(
    tmp_path: Path, platform: Platform, bring: Bring
) -> None:
    place = tmp_path / "files" / "ops_flights-12345678"
    place.mkdir(parents=True)
    (place / "plot.png").write_bytes(b"image")
    row = {"attribute_path": "plots/roc", "file_value": {"path": "plot.png"}}
    exported(tmp_path, "SAN-1", [row | {"attribute_type": "file"}, row | {"attribute_type": "file_series", "step": 3}])
    assert bring(NeptuneExport(tmp_path)).files == 2
    found = platform.call("runs.artifacts", {"id": id_of("ops/flights", "SAN-1")})
    assert [it.path for it in found] == ["plots/roc.png", "plots/roc/step_3.png"]
    assert platform.resources.store.get(found[0].digest) == b"image"


def test_series_of_texts_and_histograms_become_files(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    text = {"attribute_path": "log", "attribute_type": "string_series", "step": 1, "string_value": "hello"}
    bars = {"type": "COUNTING", "edges": [0.0, 1.0], "values": [3.0]}
    histogram = {"attribute_path": "h", "attribute_type": "histogram_series", "step": 1, "histogram_value": bars}
    exported(tmp_path, "SAN-1", [text, histogram])
    bring(NeptuneExport(tmp_path))
    found = platform.call("runs.artifacts", {"id": id_of("ops/flights", "SAN-1")})
    assert [it.path for it in found] == ["h.histograms.jsonl", "log.strings.jsonl"]
    assert b'"value":"hello"' in platform.resources.store.get(found[1].digest)


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "gone.png"])
def test_a_file_that_is_not_among_the_files_is_told_of(tmp_path: Path, bring: Bring, path: str) -> None:
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "files").mkdir()
    exported(tmp_path, "SAN-1", [{"attribute_path": "f", "attribute_type": "file", "file_value": {"path": path}}])
    report = bring(NeptuneExport(tmp_path))
    assert report.files == 0
    assert "not among the files" in report.untaken[0].why


def test_a_run_whose_export_was_not_finished_is_left_out(tmp_path: Path, bring: Bring) -> None:
    exported(tmp_path, "whole", [value("x", "int", 1)])
    exported(tmp_path, "half", [value("x", "int", 1)], part=1)
    report = bring(NeptuneExport(tmp_path))
    assert report.runs == 1
    assert "not finished" in report.untaken[0].why


def test_a_damaged_file_costs_one_run(tmp_path: Path, bring: Bring) -> None:
    exported(tmp_path, "whole", [value("x", "int", 1)])
    place = exported(tmp_path, "torn", [value("x", "int", 1)])
    torn = next(place.glob("torn*"))
    torn.write_bytes(torn.read_bytes()[:-20])
    report = bring(NeptuneExport(tmp_path))
    assert (report.runs, report.added) == (1, 1)
    assert "cannot be read" in report.untaken[0].why


def test_a_trashed_run_is_out_of_sight(tmp_path: Path, platform: Platform, bring: Bring) -> None:
    exported(tmp_path, "SAN-1", [value("sys/trashed", "bool", True), value("sys/failed", "bool", True)])
    bring(NeptuneExport(tmp_path))
    run = platform.call("runs.get", {"id": id_of("ops/flights", "SAN-1")})
    assert run.deleted is not None
    assert run.status == "failed"


def test_another_folder_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no export"):
        NeptuneExport(tmp_path)
    with pytest.raises(NotFound, match="no folder"):
        NeptuneExport(tmp_path / "nowhere")
