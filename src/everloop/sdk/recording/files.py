"""Files of a run, made from what training code has at hand: figures, images, sounds, texts, tables, values."""

from __future__ import annotations

import io
import json
import wave
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from everloop.kernel.errors import InvalidInput
from everloop.tracking import paths
from everloop.tracking.entities import Artifact

if TYPE_CHECKING:
    import numpy as np

    from everloop.datasets.frames import Frame

_PREVIEW = 100
_YAML = {".yaml", ".yml"}


class Files(ABC):
    """What keeps files: each of the methods makes one of what it is handed, under a path within the run."""

    @abstractmethod
    def keep(self, path: str, content: bytes | Path) -> Artifact:
        """Add a file: bytes, or the file at a path."""

    def log_artifact(self, content: str | Path | bytes, name: str = "") -> list[Artifact]:
        """Add a file, every file below a folder, or bytes (which need a name). Copied before it returns.

        Raises:
            NotFound: there is no such file.
            Conflict: the run has another file of that name.
        """
        if isinstance(content, bytes):
            return [self.keep(checked(name), content)]
        source = Path(content)
        target = name or source.name
        if not source.is_dir():
            return [self.keep(checked(target), source)]
        files = sorted(path for path in source.rglob("*") if path.is_file())
        return [self.keep(checked(f"{target}/{path.relative_to(source).as_posix()}"), path) for path in files]

    def log_text(self, text: str, name: str) -> Artifact:
        """Add a text."""
        return self.keep(checked(name, ".txt"), text.encode(errors="surrogatepass"))

    def log_dict(self, value: Mapping[str, Any] | list[Any], name: str) -> Artifact:
        """Add a value as JSON, or as YAML where the name ends with .yaml or .yml."""
        path = checked(name, ".json")
        if PurePosixPath(path).suffix in _YAML:
            import yaml

            return self.keep(path, yaml.safe_dump(json.loads(_json(value)), sort_keys=False).encode())
        return self.keep(path, _json(value).encode())

    def log_table(self, table: Frame | Mapping[str, Any], name: str) -> Artifact:
        """Add a frame of Arrow, pandas, Polars or DuckDB, rows, or columns, as Parquet, and its first rows as JSON."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from everloop.datasets.frames import as_arrow

        rows = pa.table(dict(table)) if isinstance(table, Mapping) else as_arrow(table)
        path = checked(name, ".parquet")
        written = io.BytesIO()
        pq.write_table(rows, written)
        preview = {"columns": rows.column_names, "rows": rows.num_rows, "first": rows.slice(0, _PREVIEW).to_pylist()}
        self.keep(f"{path.removesuffix('.parquet')}.preview.json", _json(preview).encode())
        return self.keep(path, written.getvalue())

    def log_figure(self, figure: Any, name: str) -> Artifact:
        """Add a figure of Matplotlib (as the name ends: .png, .svg, .pdf) or of Plotly (.html or .json)."""
        if callable(getattr(figure, "savefig", None)):
            path = checked(name, ".png")
            return self.keep(path, _written(lambda file: figure.savefig(file, format=PurePosixPath(path).suffix[1:])))
        if callable(getattr(figure, "to_html", None)):
            path = checked(name, ".html")
            text = figure.to_json() if path.endswith(".json") else figure.to_html(include_plotlyjs="cdn")
            return self.keep(path, text.encode())
        raise InvalidInput(
            f"{type(figure).__name__} is no figure of Matplotlib or Plotly.", hint="Hand over the figure, not its axes."
        )

    def log_image(self, image: Any, name: str) -> Artifact:
        """Add an image: of Pillow, or an array (height, width[, 1, 3 or 4]) of bytes, or of floats from 0 to 1."""
        path = checked(name, ".png")
        if not callable(getattr(image, "save", None)):
            image = _picture(image)
        return self.keep(path, _written(lambda file: image.save(file, format=_format(path))))

    def log_audio(self, samples: np.ndarray, name: str, rate: int = 44_100) -> Artifact:
        """Add a sound as WAV: samples (length[, channels]) of 16-bit integers, or of floats from -1 to 1."""
        import numpy as np

        data = np.asarray(samples)
        if data.dtype.kind == "f":
            data = np.round(np.clip(np.nan_to_num(data), -1, 1) * 32_767).astype("<i2")
        if data.ndim not in (1, 2) or data.dtype.kind != "i" or data.dtype.itemsize != 2:
            raise InvalidInput(
                f"Sound of type {data.dtype} and shape {list(data.shape)} cannot be kept.",
                hint="Hand over floats from -1 to 1 or 16-bit integers, a column for each channel.",
            )
        written = io.BytesIO()
        with wave.open(written, "wb") as file:
            file.setnchannels(1 if data.ndim == 1 else data.shape[1])
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(np.ascontiguousarray(data, "<i2").tobytes())
        return self.keep(checked(name, ".wav"), written.getvalue())


def checked(name: str, ending: str = "") -> str:
    """A path within a run, with an ending if it has none.

    Raises:
        InvalidInput: it leads out of the run, is empty, or no server would take it.
    """
    path = PurePosixPath(paths.checked(name))
    return str(path if path.suffix or not ending else path.with_name(path.name + ending))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> object:
    for method in ("tolist", "isoformat"):
        if callable(found := getattr(value, method, None)):
            plain: object = found()
            return plain
    return str(value)


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def _picture(image: object) -> Any:
    import numpy as np
    from PIL import Image

    data = np.asarray(image)
    if data.ndim == 3 and data.shape[2] == 1:
        data = data[:, :, 0]
    if data.dtype.kind == "f":
        data = np.round(np.clip(np.nan_to_num(data), 0, 1) * 255)
    elif data.dtype.kind == "b":
        data = data * 255
    if data.ndim not in (2, 3) or (data.ndim == 3 and data.shape[2] not in (3, 4)) or data.dtype.kind not in "uif":
        raise InvalidInput(
            f"An array of type {data.dtype} and shape {list(data.shape)} is no image.",
            hint="Hand over (height, width) or (height, width, 1, 3 or 4).",
        )
    return Image.fromarray(np.clip(data, 0, 255).astype(np.uint8))


def _format(path: str) -> str:
    ending = PurePosixPath(path).suffix[1:].lower()
    return {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending)
