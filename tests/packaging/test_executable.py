"""The executable: one file, run where no Python is, unpacked once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import msgspec
import pytest

from everloop.app.platform import Platform
from everloop.packaging.runner import Request
from everloop.packaging.verification import examples
from tests.packaging.conftest import built

pytestmark = pytest.mark.slow
TOOLS = ("sh", "tar", "gzip", "tail", "head", "mkdir", "mktemp", "mv", "rm", "id")


@pytest.fixture(scope="session")
def executable(workshop: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file, as one downloads it."""
    path = tmp_path_factory.mktemp("executable") / "delay-2"
    workshop.resources.store.write_to(built(workshop, "executable").digest, path)
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it unpacks itself."""
    return tmp_path_factory.mktemp("cache") / "packages"


def run(executable: Path, cache: Path, *words: str, body: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    variables = {"EVERLOOP_PACKAGES": str(cache)}
    return subprocess.run([executable, *words], input=body, capture_output=True, check=False, cwd="/", env=variables)


def without_python(folder: Path) -> Path:
    """The root of a system that has a shell and nine small tools, and no Python."""
    for name in TOOLS:
        found = Path(shutil.which(name) or f"/bin/{name}").resolve()
        _with_libraries(found, folder, f"usr/bin/{name}")
    (folder / "bin").symlink_to("usr/bin")
    for name in ("dev", "proc", "tmp"):
        (folder / name).mkdir()
    return folder


def _with_libraries(binary: Path, folder: Path, place: str) -> None:
    listed = subprocess.run(["ldd", binary], capture_output=True, check=True, text=True).stdout.split()
    for path in [Path(word) for word in listed if word.startswith("/")]:
        target = folder / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), target)
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(binary, folder / place)


def test_it_runs_where_no_python_is(executable: Path, workshop: Platform, tmp_path: Path) -> None:
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        pytest.skip("bubblewrap is not installed")
    root = without_python(tmp_path / "root")
    assert not list(root.rglob("*python*"))
    mounts = ["--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    shown = ["--ro-bind", str(executable), "/delay", "--unshare-net", "--clearenv"]
    columns = examples(built(workshop, "executable").manifest.signature)
    ran = subprocess.run(
        [bubblewrap, *mounts, *shown, "/delay", "predict"],
        input=msgspec.json.encode(Request(columns)),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["scores"]) == 32


def test_the_second_start_finds_what_the_first_unpacked(executable: Path, cache: Path) -> None:
    assert run(executable, cache, "manifest").returncode == 0
    (unpacked,) = cache.iterdir()
    marked = unpacked / "opt" / "marked"
    marked.touch()
    assert run(executable, cache, "manifest").returncode == 0
    assert marked.exists()
    assert [path.name for path in cache.iterdir()] == [unpacked.name]


def test_what_it_unpacks_is_for_its_user_only(executable: Path, cache: Path) -> None:
    assert run(executable, cache, "manifest").returncode == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in cache.iterdir())


def test_several_that_start_at_once_all_answer(executable: Path, tmp_path: Path) -> None:
    variables = {"EVERLOOP_PACKAGES": str(tmp_path / "packages")}
    started = [
        subprocess.Popen([executable, "manifest"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables)
        for _ in range(2)
    ]
    answers = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert answers[0] == answers[1]
    assert len(list((tmp_path / "packages").iterdir())) == 1


def test_it_serves_over_http(executable: Path, cache: Path) -> None:
    process = subprocess.Popen(
        [executable, "serve", "--port", "0"], stdout=subprocess.PIPE, env={"EVERLOOP_PACKAGES": str(cache)}
    )
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())["address"]
    row = {"distance": 900.0, "hour": 17, "carrier": "B6"}
    answer = httpx.post(f"{address}/invocations", json={"dataframe_records": [row]})
    process.terminate()
    assert process.wait(20) is not None
    process.stdout.close()
    assert len(answer.json()["predictions"]) == 1


def test_its_errors_are_those_of_every_package(executable: Path, cache: Path) -> None:
    ran = run(executable, cache, "predict", body=b'{"columns": {"hour": [1]}}')
    assert ran.returncode == 2
    assert "Missing: distance, carrier" in json.loads(ran.stderr)["error"]["message"]


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9999])
def test_a_cut_file_says_so_and_leaves_nothing(executable: Path, tmp_path: Path, share: float) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(executable.read_bytes()[: int(executable.stat().st_size * share)])
    cut.chmod(0o755)
    ran = run(cut, tmp_path / "packages", "manifest")
    assert (ran.returncode, b"damaged" in ran.stderr) == (8, True)
    assert not list((tmp_path / "packages").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
def test_a_cache_of_somebody_else_is_not_trusted(executable: Path, tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    os.chown(tmp_path / "packages", 12345, 12345)
    ran = run(executable, tmp_path / "packages", "manifest")
    assert (ran.returncode, b"not yours" in ran.stderr) == (10, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders to others")
def test_what_somebody_else_has_put_into_the_shared_folder_is_not_run(executable: Path, tmp_path: Path) -> None:
    root = f"everloop-packages-{os.getuid()}"
    own = {"EVERLOOP_PACKAGES": str(tmp_path / root)}
    assert subprocess.run([executable, "manifest"], env=own, capture_output=True, check=False).returncode == 0
    os.chown(tmp_path / root, 12345, 12345)
    shared = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    ran = subprocess.run([executable, "manifest"], env=shared, capture_output=True, check=False)
    assert (ran.returncode, b"not yours" in ran.stderr) == (10, True)
