"""Two platforms and a place between them: a folder, S3 by moto, and S3 by rclone, which ignores conditional writes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from everloop.app.platform import Platform
from everloop.datasets.remotes.entities import Pull, Push
from everloop.kernel.clock import SimulatedClock
from everloop.store.entities import Digest, TreeEntry
from tests import servers
from tests.conftest import START, opened
from tests.proxy import Proxy, proxied

_numbers = itertools.count(1)
FILES = {"train/cats/1.jpg": b"a cat" * 400, "train/dogs/1.jpg": b"a dog" * 400, "labels.csv": b"1,cat\n", "empty": b""}


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The endpoint of moto."""
    with servers.s3() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def rclone() -> Iterator[str]:
    """The endpoint of rclone."""
    with servers.rclone() as endpoint:
        yield endpoint


@pytest.fixture
def proxy(moto: str) -> Iterator[Proxy]:
    """A proxy before moto."""
    with proxied(moto) as fresh:
        yield fresh


def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, through: str = "") -> str:
    """The URL of a prefix in a fresh bucket of a server, reached directly or through a proxy."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    name = f"remotes-{next(_numbers)}"
    httpx.put(f"{endpoint}/{name}", timeout=30).raise_for_status()
    return f"s3://{name}/team/data?endpoint={through or endpoint}&region=us-east-1&timeout=5&retries=2"


@pytest.fixture(
    params=["file", pytest.param("moto", marks=pytest.mark.slow), pytest.param("rclone", marks=pytest.mark.slow)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh place of each kind."""
    if request.param == "file":
        return (tmp_path / "place").as_uri()
    return bucket(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The URL of a fresh folder."""
    return (tmp_path / "place").as_uri()


@pytest.fixture
def ada(tmp_path: Path, empty_catalog: Path) -> Iterator[Platform]:
    """A platform."""
    with opened(tmp_path / "ada", empty_catalog, SimulatedClock(START)) as fresh:
        yield fresh


@pytest.fixture
def bob(tmp_path: Path, empty_catalog: Path) -> Iterator[Platform]:
    """Another one."""
    with opened(tmp_path / "bob", empty_catalog, SimulatedClock(START)) as fresh:
        yield fresh


def committed(platform: Platform, files: dict[str, bytes], name: str = "images", branch: str = "main") -> int:
    """Files as the next version of a dataset; its number."""
    store = platform.resources.store
    with store.bulk() as bulk:
        entries = [TreeEntry(path, bulk.put(data), len(data)) for path, data in files.items()]
    arguments = {"name": name, "digest": store.put_tree(entries), "branch": branch}
    return int(platform.call("datasets.commit_files", arguments).version)


def held(platform: Platform, name: str = "images", at: str = "") -> dict[str, bytes]:
    """The files of a version."""
    store = platform.resources.store
    files = platform.call("datasets.files", {"name": name, "at": at, "limit": 0})
    return {each.path: store.get(Digest(each.digest)) for each in files}


def linked(platform: Platform, url: str) -> Platform:
    """The platform, with the place as its remote `origin`."""
    platform.call("remotes.add", {"name": "origin", "url": url})
    return platform


def push(platform: Platform, branch: str = "main", dataset: str = "images") -> Push:
    done: Push = platform.call("remotes.push", {"name": "origin", "dataset": dataset, "branch": branch})
    return done


def pull(platform: Platform, branch: str = "main", dataset: str = "images", below: str = "") -> Pull:
    arguments = {"name": "origin", "dataset": dataset, "branch": branch, "below": below}
    done: Pull = platform.call("remotes.pull", arguments)
    return done
