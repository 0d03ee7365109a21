"""Batches, from their beginning to their end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, ipc

import everloop as el
from everloop.datasets.content import write_table
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from everloop.serving.batch import output as outputs
from everloop.serving.batch.output import MANIFEST, Output
from tests.serving.batch.conftest import Batches
from tests.serving.conftest import World


def test_every_row_is_predicted_in_its_place_with_version_and_time(batches: Batches) -> None:
    report = batches.predict(batches.file(10), "out.parquet")
    found = batches.read("out.parquet")
    assert (report.rows, report.refused, report.resumed) == (10, 0, 0)
    assert found.column_names == ["id", "prediction", "model_version", "predicted_at"]
    assert found["id"].to_pylist() == [f"r{n}" for n in range(10)]
    assert found["prediction"].to_pylist() == [0.5 + 0.25 * n for n in range(10)]
    assert set(found["model_version"].to_pylist()) == {1}


def test_a_folder_gets_a_part_for_each_thread_and_a_summary(batches: Batches) -> None:
    batches.predict(batches.file(10), "out")
    names = sorted(path.name for path in (batches.folder / "out").iterdir())
    assert names == ["_predictions.json", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert batches.read("out").num_rows == 10
    assert not Output(batches.folder / "out").folder.exists()


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.jsonl", "in.arrow", "in.parquet"])
def test_every_format_gives_the_same_predictions(batches: Batches, name: str) -> None:
    table, path = batches.table(10), batches.folder / name
    if ".csv" in name:
        with pa.output_stream(path) as sink:
            csv.write_csv(table, sink)
    elif name == "in.jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif name == "in.arrow":
        with ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, path)
    batches.predict(path, "out.parquet", columns=("id",))
    assert batches.read("out.parquet")["prediction"].to_pylist() == [0.5 + 0.25 * n for n in range(10)]
    assert batches.read("out.parquet")["id"].to_pylist() == [f"r{n}" for n in range(10)]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_one_file_and_many_parts_hold_the_same_rows(batches: Batches, ending: str) -> None:
    source = batches.file(10)
    batches.predict(source, f"small.{ending}", part_rows=3)
    batches.predict(source, f"large.{ending}", part_rows=100)
    small, large = (batches.folder / f"{name}.{ending}" for name in ("small", "large"))
    if ending in ("csv", "jsonl"):
        assert small.read_bytes() == large.read_bytes()
    else:
        read = pq.read_table if ending == "parquet" else lambda path: ipc.open_file(path).read_all()
        assert read(small).equals(read(large))


def test_folders_and_patterns_are_read_by_name_without_what_is_hidden(batches: Batches) -> None:
    batches.file(4, "in/b.parquet", start=4)
    batches.file(4, "in/a.parquet")
    batches.file(4, "in/_temporary/c.parquet")
    for source in ("in", "in/*.parquet"):
        report = batches.predict(batches.folder / source, f"{len(source)}.parquet")
        assert report.rows == 8
    assert batches.read("2.parquet")["id"].to_pylist() == [f"r{n}" for n in range(8)]


def test_a_batch_that_stopped_goes_on_and_comes_to_the_same_bytes(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = batches.file(40)
    batches.predict(source, "whole", workers=1)
    write, made = Output.write, []

    def stopping(self: Output, number: int, table: pa.Table, refused: int) -> object:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(number)
        return write(self, number, table, refused)

    monkeypatch.setattr(Output, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        batches.predict(source, "out", workers=1)
    monkeypatch.undo()
    assert not (batches.folder / "out").exists()
    report = batches.predict(source, "out", resume=True)
    assert (report.rows, report.resumed) == (40, 12)
    assert _bytes(batches.folder / "out") == _bytes(batches.folder / "whole")


def test_what_a_killed_batch_left_torn_is_made_again(batches: Batches) -> None:
    source, output = batches.file(12), Output(batches.folder / "out")
    batches.predict(source, "whole")
    _interrupted(batches, source, "out")
    (output.folder / "part-00000.parquet").write_bytes(b"torn")
    with (output.folder / MANIFEST).open("ab") as manifest:
        manifest.write(b'{"number":1,"fi')
    batches.predict(source, "out", resume=True)
    assert _bytes(batches.folder / "out") == _bytes(batches.folder / "whole")


def test_a_version_that_is_new_meanwhile_does_not_get_into_a_batch_that_goes_on(batches: Batches) -> None:
    source = batches.file(12)
    _interrupted(batches, source, "out")
    batches.world.register(constant=9.0)
    assert batches.predict(source, "out", resume=True).version == 1
    assert set(batches.read("out")["model_version"].to_pylist()) == {1}


def test_another_input_is_no_reason_to_go_on(batches: Batches) -> None:
    source = batches.file(12)
    _interrupted(batches, source, "out")
    batches.file(16)
    with pytest.raises(Conflict, match="files differ"):
        batches.predict(source, "out", resume=True)


def test_an_interrupted_batch_is_not_forgotten_by_chance(batches: Batches) -> None:
    source = batches.file(12)
    _interrupted(batches, source, "out")
    with pytest.raises(Conflict, match="did not end"):
        batches.predict(source, "out")


def test_what_is_there_is_not_replaced(batches: Batches) -> None:
    (batches.folder / "out.parquet").write_bytes(b"mine")
    with pytest.raises(Conflict, match="is there already"):
        batches.predict(batches.file(), "out.parquet")
    assert (batches.folder / "out.parquet").read_bytes() == b"mine"


def test_a_full_disk_is_said_and_nothing_is_lost(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    source = batches.file(12)
    batches.predict(source, "whole")
    replace, written = outputs._replace, []

    def full(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, os.strerror(28))
        replace(path, content)

    monkeypatch.setattr(outputs, "_replace", full)
    with pytest.raises(Unavailable, match="No space left"):
        batches.predict(source, "out", workers=1)
    monkeypatch.undo()
    assert not (batches.folder / "out").exists()
    assert batches.predict(source, "out", resume=True).resumed >= 4
    assert _bytes(batches.folder / "out") == _bytes(batches.folder / "whole")


def test_missing_columns_are_named(batches: Batches) -> None:
    pq.write_table(batches.table().drop_columns(["x"]), batches.folder / "in.parquet")
    with pytest.raises(InvalidInput, match="lacks x"):
        batches.predict(batches.folder / "in.parquet", "out")
    assert not Output(batches.folder / "out").folder.exists()


def test_columns_of_wrong_types_are_named(batches: Batches) -> None:
    wrong = batches.table().set_column(1, "x", pa.array(["much"] * 10))
    pq.write_table(wrong, batches.folder / "in.parquet")
    with pytest.raises(InvalidInput, match="x must be float64, not string"):
        batches.predict(batches.folder / "in.parquet", "out")


def test_files_that_differ_in_types_are_not_mixed(batches: Batches) -> None:
    batches.file(4, "in/a.parquet")
    wrong = batches.table(4).set_column(1, "x", pa.array([1, 2, 3, 4]))
    pq.write_table(wrong, batches.folder / "in/b.parquet")
    with pytest.raises(InvalidInput, match=r"double in .*a\.parquet, and int64 in .*b\.parquet"):
        batches.predict(batches.folder / "in", "out")


@pytest.mark.parametrize("kept", [0, 4, 200])
def test_torn_files_are_refused(batches: Batches, kept: int) -> None:
    path = batches.file()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InvalidInput, match="damaged"):
        batches.predict(path, "out")
    assert not (batches.folder / "out").exists()


def test_a_table_without_rows_gives_one_without_predictions(batches: Batches) -> None:
    assert batches.predict(batches.file(0), "out.parquet").rows == 0
    assert batches.read("out.parquet").column_names == ["id", "prediction", "model_version", "predicted_at"]


def test_an_empty_csv_is_said(batches: Batches) -> None:
    (batches.folder / "in.csv").write_bytes(b"")
    with pytest.raises(InvalidInput, match="is empty"):
        batches.predict(batches.folder / "in.csv", "out")


def test_nothing_to_read_is_said(batches: Batches) -> None:
    with pytest.raises(NotFound, match="There is no table"):
        batches.predict(batches.folder / "*.parquet", "out")


def test_refused_rows_are_named_by_their_numbers(batches: Batches) -> None:
    rows = "x,carrier\n" + "".join(f"{'much' if n in (5, 8) else n},AA\n" for n in range(10))
    (batches.folder / "in.csv").write_text(rows)
    with pytest.raises(InvalidInput, match=r"rows 6, 9 cannot be predicted: x must be float64"):
        batches.predict(batches.folder / "in.csv", "out", part_rows=100)


def test_refused_rows_may_have_a_reason_instead_of_a_prediction(batches: Batches) -> None:
    rows = "x,carrier\n" + "".join(f"{'much' if n in (5, 8) else n},AA\n" for n in range(10))
    (batches.folder / "in.csv").write_text(rows)
    report = batches.predict(batches.folder / "in.csv", "out.parquet", rows="null")
    found = batches.read("out.parquet").to_pylist()
    assert report.refused == 2
    assert [row["prediction"] for row in found] == [None if n in (5, 8) else 0.5 + 0.25 * n for n in range(10)]
    assert [n for n, row in enumerate(found) if row["problem"]] == [5, 8]


def test_rows_that_the_model_fails_on_are_refused(batches: Batches) -> None:
    version = batches.world.register(constant=0.0, factor=1.0, nan_over=7.5)
    report = batches.predict(batches.file(10), "out.parquet", which=str(version), rows="null")
    assert report.refused == 2
    assert batches.read("out.parquet")["problem"].to_pylist()[8:] == ["the model gave no number"] * 2


def test_a_model_that_raises_refuses_every_row(batches: Batches) -> None:
    batches.world.register(raises=True)
    with pytest.raises(InvalidInput, match="this model is broken"):
        batches.predict(batches.file(10), "out")


def test_named_outputs_are_columns_of_their_own(batches: Batches) -> None:
    batches.world.register(constant=0.0, factor=1.0, is_named=True)
    batches.predict(batches.file(3), "out.parquet")
    found = batches.read("out.parquet").to_pylist()[1]
    assert found["prediction.verdict"] == "late"
    assert found["prediction.classes"] == [0.0, 1.0]
    assert found["prediction.probability"] == 1.0


def test_a_dataset_becomes_a_dataset_with_its_lineage(batches: Batches) -> None:
    session = batches.world.platform.session()
    source = write_table(session, "flights", batches.table(10))
    made = batches.world.call("predictions.batch", model="delay", dataset="flights", into="guesses")
    again = batches.world.call("predictions.batch", model="delay", dataset="flights@1", into="guesses")
    assert (made.version, made.rows, again.version) == (1, 10, 1)
    edges = batches.world.call("lineage.graph", urn="dataset:default/guesses@1", direction="upstream", depth=1).edges
    assert {edge.upstream for edge in edges} == {f"dataset:default/flights@{source.version}", "model:default/delay@1"}


def test_a_step_predicts_with_what_it_is_handed(batches: Batches) -> None:
    session = batches.world.platform.session()
    source = write_table(session, "flights", batches.table(10))
    with session.activate():
        made = el.predict("delay@1", source, "guesses", columns=["id"])
    assert [column.name for column in made.columns] == ["id", "prediction", "model_version"]


def test_features_are_joined_as_known_at_each_rows_time(world: World, service: str, tmp_path: Path) -> None:
    world.register(service=service, input="airport_weather.wind", factor=1.0)
    batches = Batches.__new__(Batches)
    batches.world, batches.folder = world, tmp_path
    times = ["2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z"]
    rows = pa.table({"origin": ["JFK", "JFK", "LGA"], "distance": [1.0, 2.0, 3.0], "at": times})
    csv.write_csv(rows, tmp_path / "in.csv")
    batches.predict(tmp_path / "in.csv", "out.parquet", at="at")
    assert batches.read("out.parquet")["prediction"].to_pylist() == [0.0, 10.0, 20.0]


def test_an_endpoints_batch_is_in_its_log_once(batches: Batches) -> None:
    batches.world.create(label_key="")
    batches.predict(batches.file(10), "out.parquet", endpoint="delay")
    found = batches.read("out.parquet")
    logged = batches.world.call("endpoints.predictions", name="delay")
    assert sorted(record.id for record in logged) == sorted(found["prediction_id"].to_pylist())
    assert found["prediction"].to_pylist() == [0.5 + 0.25 * n for n in range(10)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60),
    group=st.integers(1, 9),
    part_rows=st.integers(1, 20),
    workers=st.integers(1, 3),
)
def test_however_it_is_cut_a_batch_is_its_rows_one_by_one(
    batches: Batches, values: list[float | None], group: int, part_rows: int, workers: int
) -> None:
    table = pa.table(
        {"n": list(range(len(values))), "x": pa.array(values, pa.float64()), "carrier": ["AA"] * len(values)}
    )
    pq.write_table(table, batches.folder / "in.parquet", row_group_size=group)
    (batches.folder / "out.parquet").unlink(missing_ok=True)
    batches.predict(batches.folder / "in.parquet", "out.parquet", part_rows=part_rows, workers=workers)
    found = batches.read("out.parquet")
    assert found["n"].to_pylist() == table["n"].to_pylist()
    assert found["prediction"].to_pylist() == [0.5 + 0.25 * (x or 0.0) for x in values]


def _interrupted(batches: Batches, source: Path, out: str) -> None:
    """A batch that was stopped when everything but the last step was done."""
    finish, Output.finish = Output.finish, lambda self, parts, job: (_ for _ in ()).throw(KeyboardInterrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            batches.predict(source, out)
    finally:
        Output.finish = finish


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("part")}
