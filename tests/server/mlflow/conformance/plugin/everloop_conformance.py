"""A plugin of MLflow's pytest: where its tests start a server or open a store, they get a real server of ours.

It is imported by the Python that MLflow's tests run in, which knows nothing of Everloop: what it needs to know comes in
the environment (see `Order` in `conformance/__main__.py`). With MLflow's own server in its place the same plugin shows
which tests can pass at all.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ORDER = json.loads(os.environ["EVERLOOP_CONFORMANCE"])
THROUGH_URI = (
    "tests/tracking/fluent/test_fluent.py",
    "tests/tracking/test_tracking.py",
    "tests/tracking/test_client.py",
)
THROUGH_STORE = ("tests/store/tracking/test_sqlalchemy_store.py", "tests/store/model_registry/test_sqlalchemy_store.py")
_INSTEAD_OF_NONE = {"create_run": {"tags": []}, "get_metric_history": {"max_results": 25_000}}
"""What the methods of the REST client take where those of the store in SQL take None, by name."""
PATIENCE = 30
"""Seconds that a server may take to start."""
_artifacts = {"root": ""}
_forks: list[subprocess.Popen[bytes]] = []
_template = Path(tempfile.mkdtemp(prefix="everloop-conformance-"))


def pytest_configure(config: pytest.Config) -> None:
    """Put our server where the tests of the REST API start MLflow's in a thread."""
    if ORDER["server"] == "everloop":
        import mlflow.server.handlers
        import tests.tracking.integration_test_utils as servers

        mlflow.server.handlers.initialize_backend_stores = _remember
        servers.ServerThread = _instead_of_a_thread
        servers._init_server = _instead_of_a_process


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    for fork in _forks:
        fork.kill()
    shutil.rmtree(_template, ignore_errors=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what is asked for: the tests named, of a store in SQL rather than in files, that see a server at all."""
    named = set(ORDER["tests"])
    kept = [item for item in items if (not named or item.nodeid in named) and _sees_a_server(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> object:
    """Give the fixtures a server of the test's own that would otherwise open a database; None leaves one as it is."""
    path = request.node.nodeid.partition("::")[0]
    if fixturedef.argname == "db_uri" and path in THROUGH_URI:
        return _provided(fixturedef, request, server(_root(request, "everloop-artifacts")), str)
    if fixturedef.argname == "store" and path in THROUGH_STORE:
        return _provided(fixturedef, request, server(_root(request, "artifacts")), _store_of(path))
    return None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each phase of a test ended, as a line of JSON."""
    told = (
        str(report.longrepr.reprcrash.message) if hasattr(report.longrepr, "reprcrash") else str(report.longrepr or "")
    )
    line = {"test": report.nodeid, "phase": report.when, "outcome": report.outcome, "told": told[:2000]}
    with Path(ORDER["outcomes"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


@contextmanager
def server(root: str, port: int = 0) -> Iterator[str]:
    """The address of a server with nothing in it, which names an artifact root."""
    with tempfile.TemporaryDirectory(prefix="everloop-conformance-", ignore_cleanup_errors=True) as folder:
        port = port or _free_port()
        started = _ours if ORDER["server"] == "everloop" else _theirs
        running = started(Path(folder), root, port)
        try:
            _await(f"http://127.0.0.1:{port}", running, Path(folder) / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            running.kill()
            running.wait()


def _ours(folder: Path, root: str, port: int) -> subprocess.Popen[bytes]:
    """Our server on a copy of an empty home, so that it need not make its tables each time."""
    if not (_template / "home").exists():
        command = [*ORDER["command"], "experiments", "list", "--home", _template / "home"]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": ORDER["path"]})
    shutil.copytree(_template / "home", folder / "home")
    words = ["server", "--home", folder / "home", "--port", str(port)] + (["--artifacts", root] if root else [])
    return _run([*ORDER["command"], *words], folder, {"PYTHONPATH": ORDER["path"]})


def _theirs(folder: Path, root: str, port: int) -> Forked:
    """MLflow's server on a copy of an empty database, forked off a process that has imported all of it."""
    empty = _template / "mlflow.db"
    if not empty.exists():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        SqlAlchemyStore(f"sqlite:///{empty}", root or folder.as_uri()).engine.dispose()
        program = Path(__file__).with_name("forked_mlflow.py")
        path = os.environ | {"PYTHONPATH": str(Path.cwd())}  # The checkout's MLflow, not what is installed.
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        _forks.append(subprocess.Popen([sys.executable, program], env=path, **pipes))
    shutil.copy(empty, folder / "mlflow.db")
    wanted = {"database": f"sqlite:///{folder}/mlflow.db", "root": root, "port": port}
    return Forked(_forks[0], wanted)


class Forked:
    """A server that another process has forked."""

    def __init__(self, parent: subprocess.Popen[bytes], wanted: dict[str, object]) -> None:
        parent.stdin.write(json.dumps(wanted).encode() + b"\n")
        parent.stdin.flush()
        self._id = int(parent.stdout.readline())

    def poll(self) -> None:
        """That it has ended is not known here."""

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._id, signal.SIGKILL)

    def wait(self) -> None:
        """Its parent takes it away."""


def _run(command: list[object], folder: Path, environment: dict[str, str] = {}) -> subprocess.Popen[bytes]:  # noqa: B006
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, env=kept | environment)


@contextmanager
def _instead_of_a_thread(app: object, port: int) -> Iterator[str]:
    """A server that the process's own client talks to as well: MLflow's tests let both open one database."""
    import mlflow

    with server(_artifacts["root"], port) as url:
        mlflow.set_tracking_uri(url)
        yield url


def _instead_of_a_process(
    backend_uri: str, root_artifact_uri: str, *more: object, **named: object
) -> AbstractContextManager[str]:
    return server(root_artifact_uri)


def _remember(
    backend_store_uri: object = None,
    registry_store_uri: object = None,
    default_artifact_root: str | None = None,
    *more: object,
    **named: object,
) -> None:
    _artifacts["root"] = default_artifact_root or ""


def _provided(
    fixturedef: pytest.FixtureDef[object],
    request: pytest.FixtureRequest,
    running: AbstractContextManager[str],
    made: Callable[[str], object],
) -> object:
    value = made(running.__enter__())
    fixturedef.addfinalizer(lambda: running.__exit__(None, None, None))
    fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
    return value


def _store_of(path: str) -> Callable[[str], object]:
    """What makes MLflow's REST client for the kind of store that a test file is about."""
    from mlflow.utils.rest_utils import MlflowHostCreds

    if "model_registry" in path:
        from mlflow.store.model_registry.rest_store import RestStore as Rest
        from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as InSql
    else:
        from mlflow.store.tracking.rest_store import RestStore as Rest
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as InSql
    both = [name for name, value in vars(InSql).items() if inspect.isfunction(value) and name in vars(Rest)]
    calls = {name: _with_defaults(getattr(InSql, name), getattr(Rest, name)) for name in both if name[0] != "_"}
    kind = type("RestLikeSql", (Rest,), calls | {"DEFAULT_EXPERIMENT_ID": "0"})
    return lambda url: kind(lambda: MlflowHostCreds(url))


def _with_defaults(in_sql: Callable[..., object], rest: Callable[..., object]) -> Callable[..., object]:
    """A method of the REST client that may be called as the tests call that of the store in SQL."""
    declared, known = inspect.signature(in_sql), inspect.signature(rest).parameters

    def call(*given: object, **named: object) -> object:
        bound = declared.bind(*given, **named)
        bound.apply_defaults()
        arguments = {name: value for name, value in bound.arguments.items() if name in known}
        for name, instead in _INSTEAD_OF_NONE.get(in_sql.__name__, {}).items():
            arguments[name] = arguments[name] or instead
        return rest(**arguments)

    return call


def _sees_a_server(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    in_files = "file" in [parameters.get(name) for name in ("store_type", "client", "tracking_uri", "registry_uri")]
    path = item.nodeid.partition("::")[0]
    return not in_files and (path not in THROUGH_STORE or "store" in item.fixturenames)


def _root(request: pytest.FixtureRequest, name: str) -> str:
    folder: Path = request.getfixturevalue("tmp_path") / name
    folder.mkdir(exist_ok=True)
    return folder.as_uri()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _await(url: str, running: subprocess.Popen[bytes] | Forked, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and running.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.02)
    told = log.read_text()[-2000:] if log.exists() else ""
    raise RuntimeError(f"The server at {url} does not answer (its process: {running.poll()}): {told}")
