"""Files for the active run, a step's or the innermost `everloop.run`'s: figures, images, sounds, texts, tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.sdk.recording.files import Files
from everloop.tracking import active
from everloop.tracking.entities import Artifact

if TYPE_CHECKING:
    import numpy as np

    from everloop.datasets.frames import Frame


class _Active(Files):
    def keep(self, path: str, content: bytes | Path) -> Artifact:
        return active.recorder().keep(path, content)


_files = _Active()


def log_text(text: str, name: str) -> Artifact:
    """Add a text to the active run."""
    return _files.log_text(text, name)


def log_dict(value: Mapping[str, Any] | list[Any], name: str) -> Artifact:
    """Add a value to the active run as JSON, or as YAML where the name ends with .yaml or .yml."""
    return _files.log_dict(value, name)


def log_table(table: Frame | Mapping[str, Any], name: str) -> Artifact:
    """Add a frame to the active run as Parquet, and its first rows as JSON."""
    return _files.log_table(table, name)


def log_figure(figure: Any, name: str) -> Artifact:
    """Add a figure of Matplotlib or Plotly to the active run."""
    return _files.log_figure(figure, name)


def log_image(image: Any, name: str) -> Artifact:
    """Add an image, of Pillow or an array, to the active run."""
    return _files.log_image(image, name)


def log_audio(samples: np.ndarray, name: str, rate: int = 44_100) -> Artifact:
    """Add a sound to the active run, as WAV."""
    return _files.log_audio(samples, name, rate)
