"""A server's app on a fresh platform, called as a browser or a program on this machine would."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from everloop.app.platform import Platform
from everloop.server.main import build_app
from tests.servers import free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette would rather have another HTTP client than we have.
    from starlette.testclient import TestClient

HERE = "http://127.0.0.1:7410"


@pytest.fixture
def http(platform: Platform) -> Iterator[TestClient]:
    """A client on this machine."""
    with client_of(platform) as client:
        yield client


@contextmanager
def served(platform: Platform) -> Iterator[str]:
    """The address of a platform that is served on a port of this machine."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(build_app(platform), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def client_of(platform: Platform, host: str = "127.0.0.1", base: str = HERE) -> TestClient:
    """A client with an address of its own."""
    return TestClient(build_app(platform), base_url=base, client=(host, 50_000), raise_server_exceptions=False)
