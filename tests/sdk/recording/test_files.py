"""Files made of what training code has at hand, read back by the libraries that they are for."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

import everloop as el
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.files import Files
from everloop.store.service import digest_of
from everloop.tracking.entities import Artifact
from everloop.tracking.recording import recording


class Kept(Files):
    """Keeps files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def keep(self, path: str, content: bytes | Path) -> Artifact:
        self.files[path] = content if isinstance(content, bytes) else content.read_bytes()
        return Artifact(path, digest_of(self.files[path]), len(self.files[path]))


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_file_has_its_own_name_unless_another_is_given(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    kept.log_artifact(tmp_path / "model.bin")
    kept.log_artifact(str(tmp_path / "model.bin"), "models/best.bin")
    assert kept.files == {"model.bin": b"weights", "models/best.bin": b"weights"}


def test_a_folder_is_added_with_every_file_below_it(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "a").write_bytes(b"1")
    (tmp_path / "out" / "deep" / "b").write_bytes(b"2")
    kept.log_artifact(tmp_path / "out")
    assert kept.files == {"out/a": b"1", "out/deep/b": b"2"}


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../up", "a/../../b", "a\\b", "a\nb", "a\0"])
def test_a_path_that_leads_out_is_refused(kept: Kept, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a path inside a run"):
        kept.log_artifact(b"x", name)
    with pytest.raises(InvalidInput, match="is not a path inside a run"):
        kept.log_text("x", name)


def test_texts_and_values_are_readable(kept: Kept) -> None:
    kept.log_text("größer ⩾", "note")
    kept.log_dict({"scores": np.array([1, 2]), "at": pd.Timestamp("2026-01-01")}, "scores")
    kept.log_dict({"b": 1, "a": [np.float64(0.5)]}, "config.yaml")
    assert kept.files["note.txt"].decode() == "größer ⩾"
    assert json.loads(kept.files["scores.json"]) == {"scores": [1, 2], "at": "2026-01-01T00:00:00"}
    assert yaml.safe_load(kept.files["config.yaml"]) == {"b": 1, "a": [0.5]}


@pytest.mark.parametrize(
    "table", [{"a": [1, 2]}, pd.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]]
)
def test_a_table_is_parquet_with_a_preview(kept: Kept, table: object) -> None:
    kept.log_table(table, "rows")  # type: ignore[arg-type]  # frames of many kinds
    assert pq.read_table(io.BytesIO(kept.files["rows.parquet"])).to_pydict() == {"a": [1, 2]}
    preview = json.loads(kept.files["rows.preview.json"])
    assert preview == {"columns": ["a"], "rows": 2, "first": [{"a": 1}, {"a": 2}]}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "magic"), [("plot", b"\x89PNG"), ("plot.svg", b"<?xml"), ("plot.pdf", b"%PDF")])
def test_a_figure_of_matplotlib_is_drawn_as_its_name_ends(kept: Kept, name: str, magic: bytes) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    artifact = kept.log_figure(figure, name)
    assert kept.files[artifact.path].startswith(magic)


def test_a_figure_of_plotly_is_a_page_or_its_json(kept: Kept) -> None:
    class Figure:
        def to_html(self, include_plotlyjs: str) -> str:
            return f"<html>{include_plotlyjs}</html>"

        def to_json(self) -> str:
            return "{}"

    kept.log_figure(Figure(), "plot")
    kept.log_figure(Figure(), "plot.json")
    assert kept.files == {"plot.html": b"<html>cdn</html>", "plot.json": b"{}"}


def test_what_is_no_figure_is_refused(kept: Kept) -> None:
    with pytest.raises(InvalidInput, match="list is no figure"):
        kept.log_figure([1, 2], "plot")


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        (np.zeros((4, 6), np.uint8), (4, 6)),
        (np.ones((4, 6, 1)), (4, 6)),
        (np.full((4, 6, 3), 0.5), (4, 6, 3)),
        (np.zeros((4, 6, 4), np.int64), (4, 6, 4)),
        (np.array([[True, False]]), (1, 2)),
    ],
)
def test_arrays_become_images(kept: Kept, image: np.ndarray, shape: tuple[int, ...]) -> None:
    from PIL import Image

    kept.log_image(image, "seen")
    assert np.asarray(Image.open(io.BytesIO(kept.files["seen.png"]))).shape == shape


def test_floats_from_0_to_1_become_grey(kept: Kept) -> None:
    from PIL import Image

    kept.log_image(np.array([[0.0, 0.5, 1.0, 2.0, np.nan]]), "seen.png")
    assert np.asarray(Image.open(io.BytesIO(kept.files["seen.png"]))).tolist() == [[0, 128, 255, 255, 0]]


@pytest.mark.parametrize("image", [np.zeros(4), np.zeros((2, 2, 7)), np.array([["a"]])])
def test_what_is_no_image_is_refused(kept: Kept, image: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="is no image"):
        kept.log_image(image, "seen")


@pytest.mark.parametrize(("samples", "channels"), [(np.sin(np.arange(100)), 1), (np.zeros((100, 2), np.int16), 2)])
def test_sounds_are_wav(kept: Kept, samples: np.ndarray, channels: int) -> None:
    kept.log_audio(samples, "heard", 8_000)
    with wave.open(io.BytesIO(kept.files["heard.wav"])) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (channels, 8_000, 100)


def test_what_is_no_sound_is_refused(kept: Kept) -> None:
    with pytest.raises(InvalidInput, match="cannot be kept"):
        kept.log_audio(np.zeros((2, 2, 2)), "heard")


def test_a_file_that_is_not_there_is_named(ever: Everloop) -> None:
    with el.run(platform=ever) as run, pytest.raises(NotFound, match=r"no file .*nothing\.bin"):
        run.log_artifact("nothing.bin")


def test_the_same_functions_add_files_to_a_steps_run(ever: Everloop) -> None:
    step = ever.runs.start("pipeline")
    with ever.session().activate(), recording(ever.session(), step.id):
        el.log_text("hello", "a")
        el.log_dict({"a": 1}, "b")
    assert [artifact.path for artifact in ever.runs.artifacts(step.id)] == ["a.txt", "b.json"]
