"""The sandbox: a process for each model, without network and rights, that is replaced when it crashes or hangs."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Any

import msgspec

from everloop.backends.sandboxes import line
from everloop.backends.sandboxes.child import Order
from everloop.backends.sandboxes.confinement import Limits
from everloop.kernel.errors import Corrupted, Misconfigured, Unavailable, error_of
from everloop.registry.entities import Field
from everloop.registry.flavor import Flavor, Predictor

if TYPE_CHECKING:
    import numpy as np

_SECRETS = (
    ".ssh", ".aws", ".azure", ".config/gcloud", ".kube", ".docker", ".gnupg", ".netrc", ".pgpass", ".pypirc",
    ".git-credentials", ".everloop",
)  # fmt: skip
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "KERAS_BACKEND")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LOADING = 120.0
"""Seconds that a model may take to load."""
log = logging.getLogger("everloop.sandbox")


class Apart:
    """A process that holds one model. Requests take turns; each costs some 0.1 ms more than in this process."""

    def __init__(self, order: Order, folder: Path, seconds: float) -> None:
        self._order = order
        self._seconds = seconds
        self._lock = Lock()
        self._said: deque[str] = deque(maxlen=100)
        self._owner = 0
        weakref.finalize(self, _removed, folder, os.getpid())
        with self._lock:
            self.ready = self._start()

    @property
    def stderr(self) -> str:
        """The last lines that the model wrote."""
        return "\n".join(self._said)

    def asked(self, what: line.What, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the model gave, by name.

        Raises:
            Unavailable: it crashed or took too long; the next request is answered by another process.
        """
        asked = line.Ask(what, line.packed(columns))
        with self._lock:
            if self._owner != os.getpid():  # Not started, ended, or a process of the one that this was forked from.
                self._start()
            answer = self._exchanged(asked, self._seconds)
        if isinstance(answer, line.Failed):
            raise error_of(answer.problem)
        if not isinstance(answer, line.Gave):
            raise Corrupted("The sandboxed model answered what it was not asked.")
        return line.unpacked(answer.values)

    def close(self) -> None:
        """End the process. Asked again, the model is loaded again."""
        with self._lock:
            self._end()

    def _start(self) -> line.Ready:
        here, there = socket.socketpair()
        with there:
            process = subprocess.Popen(
                [sys.executable, "-m", "everloop.backends.sandboxes.child", str(there.fileno()),
                 msgspec.json.encode(self._order).decode()],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(there.fileno(),),
                env=_environment(self._order.scratch), start_new_session=True,
            )  # fmt: skip
        assert process.stdout is not None
        Thread(target=_drained, args=(process.stdout, self._said), daemon=True).start()
        self._wire, self._process, self._owner = here, process, os.getpid()
        self._stop = weakref.finalize(self, _ended, here, process, os.getpid())
        answer = self._exchanged(None, _LOADING)
        if isinstance(answer, line.Failed):
            self._end()
            raise error_of(answer.problem)
        if not isinstance(answer, line.Ready):
            raise Corrupted("The sandboxed model did not say that it is ready.")
        return answer

    def _exchanged(self, asked: line.Ask | None, seconds: float) -> line.Word:
        """One answer; whatever goes wrong on the way ends the process, and the next request gets a new one."""
        self._wire.settimeout(seconds)
        try:
            if asked is not None:
                line.send(self._wire, asked)
            body = line.receive(self._wire)
            if not body:
                raise ConnectionResetError
            word: line.Word = msgspec.msgpack.decode(body, type=line.Word)
            return word
        except TimeoutError:
            self._end()
            raise Unavailable(
                f"The sandboxed model gave no answer within {seconds:g} s.", hint="It was ended; try again."
            ) from None
        except OSError:
            raise Unavailable(f"The sandboxed model crashed ({self._end()}).", hint=self._last_words()) from None
        except (msgspec.MsgspecError, Corrupted) as error:
            self._end()
            raise Corrupted(f"The sandboxed model's answer cannot be read ({error}).") from None

    def _end(self) -> str:
        """End the process, and say how it ended by itself, if it did."""
        self._owner = 0
        try:
            code = self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            code = None
        self._stop()
        if code is None:
            return "it was ended"
        number = -code if code < 0 else code - 128  # A namespace's first process tells signals by its exit code.
        return f"signal {number}" if number > 0 else f"exit code {code}"

    def _last_words(self) -> str:
        said = [text for text in self._said if text.strip()]
        return f"It wrote: {said[-1][:300]}" if said else "It wrote nothing."


class Sandboxed:
    """A model that is asked in a process of its own. `apart` is that process."""

    def __init__(self, apart: Apart) -> None:
        self.apart = apart
        self.inputs: tuple[Field, ...] = apart.ready.inputs

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Scores as float64, as the model gives them."""
        return self._one("predict", columns)

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """How much each input moved each score, as the model says."""
        return self._one("contributions", columns)

    def _one(self, what: line.What, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        values = self.apart.asked(what, columns)
        if set(values) != {""}:
            raise Corrupted("The sandboxed model gave something else than one array.")
        return values[""]


class SandboxedTensors(Sandboxed):
    """One that names its outputs itself."""

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Each output by name, as the model gives it."""
        return dict(self.apart.asked("infer", columns))


class ProcessSandbox:
    """Runs models in processes of their own.

    `hidden` are folders that must look empty to them, beside the usual places of keys; `memory` is in megabytes,
    `seconds` is what an answer may take; without `must_be_offline` they are run even where they cannot be kept from the
    network.
    """

    def __init__(
        self,
        hidden: Iterable[Path] = (),
        memory: int = Limits().memory,
        seconds: float = 30.0,
        everything: bool = False,
        must_be_offline: bool = True,
    ) -> None:
        self.everything = everything
        self._hidden = _hidden(hidden)
        self._limits = Limits(memory)
        self._seconds = seconds
        self._must_be_offline = must_be_offline

    def load(self, flavor: Flavor, folder: Path, code: bool) -> Predictor:
        """The model of a folder, of which a copy is kept for as long as it may be asked."""
        if getattr(sys, "frozen", False):
            raise Misconfigured("There is no Python here to run a sandbox with.", hint="Run it as a package or image.")
        place = Path(tempfile.mkdtemp(prefix="everloop-sandbox-"))
        shutil.copytree(folder, place / "model")
        (place / "scratch").mkdir(mode=0o700)
        kind = type(flavor)
        order = Order(
            f"{kind.__module__}:{kind.__qualname__}",
            str(place / "model"),
            code,
            str(place / "scratch"),
            self._hidden,
            self._limits,
            self._must_be_offline,
        )
        apart = Apart(order, place, self._seconds)
        return SandboxedTensors(apart) if apart.ready.tensors else Sandboxed(apart)


def open_sandbox(**options: Any) -> ProcessSandbox:
    """The sandbox, with the options of `ProcessSandbox` (`Any`: their types stand there)."""
    return ProcessSandbox(**options)


def _hidden(folders: Iterable[Path]) -> tuple[str, ...]:
    """The folders that are there and that Python itself does not live in."""
    places = [*folders, *(Path.home() / name for name in _SECRETS)]
    needed = [Path(path).resolve() for path in (sys.prefix, sys.base_prefix, __file__)]
    found = [path.resolve() for path in places if path.exists()]
    return tuple(str(path) for path in found if not any(it.is_relative_to(path) for it in needed))


def _environment(scratch: str) -> dict[str, str]:
    """Few variables: others hold passwords and tokens."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    kept |= dict.fromkeys(_ONE_THREAD, "1")
    path = os.pathsep.join(place for place in sys.path if place)
    return kept | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": scratch, "TMPDIR": scratch}


def _drained(output: IO[bytes], said: deque[str]) -> None:
    with output:
        while text := output.readline(4096):
            said.append(text.decode(errors="replace").rstrip())
            log.info("sandboxed model: %s", said[-1])


def _ended(wire: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    wire.close()
    if owner == os.getpid():
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # With what the model started, where no namespace ends that.
        process.wait()


def _removed(folder: Path, owner: int) -> None:
    """A process that was forked from the owner leaves the folder alone: the owner still needs it."""
    if owner == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
