"""Models of a user's own, as the sandbox and the flavor `python` meet them: good ones and bad ones."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from everloop.registry.columns import InputMatrix
from everloop.registry.entities import Field

Columns = Mapping[str, np.ndarray]


class Doubling:
    """Gives its one number back, twice as large."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def predict(self, columns: Columns) -> np.ndarray:
        return columns["x"] * self.factor


class Telling:
    """Has two outputs of its own, and says what moved them."""

    def infer(self, columns: Columns) -> Mapping[str, np.ndarray | Sequence[str]]:
        return {"score": columns["x"] + 1, "word": [f"{value:g}" for value in columns["x"].tolist()]}

    def contributions(self, columns: Columns) -> np.ndarray:
        return np.column_stack([columns["x"]])


class Doing:
    """Does what the number in `x` says: what a hostile or a broken model might."""

    def __init__(self, address: tuple[str, int] | str = "", path: str = "") -> None:
        self.address = address
        self.path = path

    def predict(self, columns: Columns) -> np.ndarray:
        deed = {
            1: self.connect, 2: self.crash, 3: self.hang, 4: self.write, 5: self.fail, 6: self.leave, 7: self.eat,
            8: self.look, 9: self.end_parent, 10: self.regain, 11: self.abort, 12: self.fork,
        }.get(int(columns["x"][0]))  # fmt: skip
        return np.full(len(columns["x"]), 0.0 if deed is None else deed())

    def connect(self) -> float:
        kind = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        with socket.socket(kind) as line:
            line.connect(self.address)
        return 1.0

    def crash(self) -> float:
        ctypes.string_at(0)
        return 1.0

    def hang(self) -> float:
        time.sleep(60)
        return 1.0

    def write(self) -> float:
        Path(self.path).write_text("was here")
        return 1.0

    def fail(self) -> float:
        sys.stderr.write("on the way to failing\n")
        raise ValueError("no such luck")

    def leave(self) -> float:
        os._exit(3)

    def eat(self) -> float:
        return float(len(bytearray(1 << 33)))

    def look(self) -> float:
        return float(Path(self.path).exists())

    def end_parent(self) -> float:
        os.kill(int(self.path), signal.SIGKILL)
        return 1.0

    def regain(self) -> float:
        libc = ctypes.CDLL(None, use_errno=True)
        return float(libc.mount(b"tmpfs", b"/mnt", b"tmpfs", 0, None) == 0 or libc.unshare(0x10000000) == 0)

    def abort(self) -> float:
        os.abort()

    def fork(self) -> float:
        for _ in range(400):
            if os.fork() == 0:
                time.sleep(5)
                os._exit(0)
        return 1.0


class Greedy:
    """Reaches for a network as soon as it is unpickled."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def __setstate__(self, state: dict[str, tuple[str, int]]) -> None:
        with socket.create_connection(state["address"], 2) as line:
            line.sendall(b"home")

    def predict(self, columns: Columns) -> np.ndarray:
        return columns["x"]


class Layer:
    """Weighs its inputs; what is missing counts nothing."""

    def __init__(self, inputs: tuple[Field, ...], classes: int) -> None:
        self.inputs = inputs
        self.weights = np.random.default_rng(3).normal(size=(len(inputs), classes)) / 100

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        raw = (np.nan_to_num(matrix)[:, :, None] * self.weights).sum(axis=1)
        grown = np.exp(raw - raw.max(axis=1, keepdims=True))
        shares = grown / grown.sum(axis=1, keepdims=True)
        return shares[:, 1] if shares.shape[1] == 2 else shares

    def predict(self, columns: Columns) -> np.ndarray:
        return self.scores(InputMatrix(self.inputs)(columns))


class Sneaky:
    """An estimator that is not scikit-learn's."""

    def __init__(self) -> None:
        self.fitted = True

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0]

    def get_params(self) -> dict[str, object]:
        return {}
