"""The sandbox: what a model in it cannot do, and that nobody else is harmed when it tries."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from everloop.backends.flavors.python import PythonFlavor
from everloop.backends.sandboxes.process import ProcessSandbox, Sandboxed, SandboxedTensors
from everloop.kernel.errors import EverloopError, InvalidInput, Refused, Unavailable
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Predictor, TensorPredictor, outputs_of
from tests.backends.pythonmodels import Doing, Doubling, Greedy, Telling

pytestmark = pytest.mark.slow
ONE = Signature((Field("x", "float64"),), (Field("score", "float64"),))


class Listener:
    """A server that counts who comes; over TCP, and over a socket in the file system."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.bind(address)
        self.socket.listen()
        self.came = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.came += 1


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener(("127.0.0.1", 0))
    yield found
    found.socket.close()


def x(*values: float) -> dict[str, np.ndarray]:
    return {"x": np.array(values)}


def sandboxed(native: object, folder: Path, signature: Signature = ONE, **options: object) -> Predictor:
    folder.mkdir(exist_ok=True)
    flavor = PythonFlavor()
    flavor.save(native, folder, signature)
    return ProcessSandbox(**options).load(flavor, folder, code=True)  # type: ignore[arg-type]  # options of a test


def test_a_model_in_it_answers_what_it_does_outside(tmp_path: Path) -> None:
    predictor = sandboxed(Doubling(3.0), tmp_path)
    given = np.random.default_rng(1).normal(size=1000)
    assert np.array_equal(predictor.predict(x(*given)), given * 3.0)
    assert [field.name for field in predictor.inputs] == ["x"]


def test_outputs_with_names_and_texts_come_through(tmp_path: Path) -> None:
    signature = Signature(ONE.inputs, (Field("score", "float64"), Field("word", "string")))
    predictor = sandboxed(Telling(), tmp_path, signature)
    assert isinstance(predictor, SandboxedTensors)
    assert isinstance(predictor, TensorPredictor)
    found = outputs_of(predictor, signature.outputs, x(1, 2))
    assert found["score"].tolist() == [2, 3]  # type: ignore[union-attr]  # an array
    assert list(found["word"]) == ["1", "2"]
    assert predictor.contributions(x(4)).tolist() == [[4]]


def test_it_cannot_open_a_connection(tmp_path: Path, listener: Listener) -> None:
    with pytest.raises(EverloopError, match=r"PermissionError|OSError"):
        sandboxed(Doing(listener.socket.getsockname()), tmp_path).predict(x(1))
    assert listener.came == 0


def test_outside_of_it_the_same_model_does(listener: Listener) -> None:
    assert Doing(listener.socket.getsockname()).predict(x(1)).tolist() == [1]


def test_it_cannot_reach_a_socket_in_the_file_system(tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "s"))
    with pytest.raises(EverloopError, match="PermissionError"):
        sandboxed(Doing(str(tmp_path / "s")), tmp_path / "m").predict(x(1))
    assert listener.came == 0


def test_a_pickle_that_reaches_out_while_it_is_read_reaches_nobody(tmp_path: Path, listener: Listener) -> None:
    with pytest.raises(EverloopError, match="Error"):
        sandboxed(Greedy(listener.socket.getsockname()), tmp_path)
    assert listener.came == 0


@pytest.mark.parametrize(("deed", "said"), [(2, "signal 11"), (6, "exit code 3"), (11, "signal")])
def test_a_crash_is_an_error_of_that_request_and_the_next_is_answered(tmp_path: Path, deed: int, said: str) -> None:
    predictor = sandboxed(Doing(), tmp_path)
    with pytest.raises(Unavailable, match=said):
        predictor.predict(x(deed))
    assert predictor.predict(x(0, 0)).tolist() == [0, 0]


def test_a_hang_is_an_error_of_that_request_and_the_next_is_answered(tmp_path: Path) -> None:
    predictor = sandboxed(Doing(), tmp_path, seconds=1.0)
    with pytest.raises(Unavailable, match="within 1 s"):
        predictor.predict(x(3))
    assert predictor.predict(x(0)).tolist() == [0]


def test_what_it_raises_is_told_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    predictor = sandboxed(Doing(), tmp_path)
    with pytest.raises(EverloopError, match="ValueError: no such luck"):
        predictor.predict(x(5))
    assert predictor.predict(x(0)).tolist() == [0]
    assert isinstance(predictor, Sandboxed)
    assert "on the way to failing" in predictor.apart.stderr


def test_it_writes_nowhere_but_in_its_scratch_folder(tmp_path: Path) -> None:
    with pytest.raises(EverloopError, match=r"OSError|PermissionError"):
        sandboxed(Doing(path=str(tmp_path / "trace")), tmp_path / "a").predict(x(4))
    assert not (tmp_path / "trace").exists()
    assert sandboxed(Doing(path="trace"), tmp_path / "b").predict(x(4)).tolist() == [1]


def test_memory_beyond_its_limit_is_not_given(tmp_path: Path) -> None:
    predictor = sandboxed(Doing(), tmp_path, memory=1024)
    with pytest.raises(EverloopError, match="MemoryError"):
        predictor.predict(x(7))
    assert predictor.predict(x(0)).tolist() == [0]


def test_the_home_of_the_platform_looks_empty(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "catalog.db").write_text("secrets")
    doing = Doing(path=str(home / "catalog.db"))
    assert sandboxed(doing, tmp_path / "a").predict(x(8)).tolist() == [1]
    assert sandboxed(doing, tmp_path / "b", hidden=(home,)).predict(x(8)).tolist() == [0]


def test_it_cannot_end_the_process_that_asks_it(tmp_path: Path) -> None:
    waiting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(EverloopError, match=r"ProcessLookupError|PermissionError"):
        sandboxed(Doing(path=str(waiting.pid)), tmp_path).predict(x(9))
    assert waiting.poll() is None
    waiting.communicate(b"\n")


def test_it_cannot_take_its_rights_back(tmp_path: Path) -> None:
    assert sandboxed(Doing(), tmp_path).predict(x(10)).tolist() == [0]


@pytest.mark.skipif(os.getuid() == 0, reason="The kernel does not count the processes of its first user.")
def test_it_cannot_start_processes_without_end(tmp_path: Path) -> None:
    with pytest.raises(EverloopError, match="BlockingIOError"):
        sandboxed(Doing(), tmp_path).predict(x(12))


def test_passwords_in_variables_are_not_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    predictor = sandboxed(Doing(path="/proc/self/environ"), tmp_path)
    assert isinstance(predictor, Sandboxed)
    environ = Path(f"/proc/{predictor.apart._process.pid}/environ").read_bytes()
    assert b"secret" not in environ
    assert b"TMPDIR" in environ


def test_many_threads_get_their_own_answers(tmp_path: Path) -> None:
    predictor = sandboxed(Doubling(), tmp_path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: predictor.predict(x(at))[0], range(200)))
    assert answers == [2.0 * at for at in range(200)]


def test_an_error_of_ours_keeps_its_class(tmp_path: Path) -> None:
    predictor = sandboxed(Doubling(), tmp_path)
    with pytest.raises(InvalidInput, match="needs x"):
        predictor.predict({})
    with pytest.raises(Refused, match="Doubling"):
        predictor.contributions(x(1))


def test_a_process_that_was_forked_starts_one_of_its_own(tmp_path: Path) -> None:
    predictor = sandboxed(Doubling(), tmp_path)
    child = os.fork()
    if child == 0:
        os._exit(0 if predictor.predict(x(4)).tolist() == [8] else 1)
    assert predictor.predict(x(5)).tolist() == [10]
    assert os.waitpid(child, 0)[1] == 0


def test_a_model_without_code_can_be_run_in_it_too(tmp_path: Path) -> None:
    from everloop.backends.flavors.lightgbm import LightgbmFlavor
    from everloop.registry.columns import signature_of
    from tests.contracts.test_flavors import columns, train_lightgbm

    data, flavor = columns(), LightgbmFlavor()
    flavor.save(train_lightgbm(data), tmp_path, signature_of(data))
    found = ProcessSandbox().load(flavor, tmp_path, code=False).predict(data)
    assert np.array_equal(found, flavor.load(tmp_path).predict(data))


def test_it_ends_with_the_last_who_asks(tmp_path: Path) -> None:
    predictor = sandboxed(Doubling(), tmp_path)
    assert isinstance(predictor, Sandboxed)
    process = predictor.apart._process
    del predictor
    assert process.poll() is not None
