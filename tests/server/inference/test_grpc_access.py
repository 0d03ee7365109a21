"""Who may ask over gRPC, where it may listen, and what it says when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from everloop.app.platform import Platform
from everloop.server.inference.grpc import inference_pb2 as pb
from tests.server.inference.grpcclient import Client, request
from tests.serving.processes import Process, furnish, open_home, tensors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A furnished home."""
    folder = tmp_path_factory.mktemp("grpc-access") / "home"
    furnish(folder)
    return folder


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Platform]:
    """The platform in that home, in this process."""
    opened = open_home(home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def guarded(home: Path) -> Iterator[Client]:
    """A client of a process that wants a token from everybody."""
    with (
        Process(home, ["delay", "--grpc-port", "0"], EVERLOOP_AUTHENTICATION="required") as process,
        Client.of(process) as client,
    ):
        yield client


def token(platform: Platform, name: str, *roles: str) -> dict[str, str]:
    platform.call("governance.grant", {"principal": name, "roles": list(roles)})
    secret = platform.call("tokens.create", {"principal": name}).secret
    return {"authorization": f"Bearer {secret}"}


def started(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What becomes of a process that cannot start."""
    command = [sys.executable, "-m", "everloop", "--home", str(home), "serve", "delay", "--port", "0", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=False, env=clean | environment, cwd=home.parent
    )


CALLS = {
    "ModelReady": pb.ModelReadyRequest(name="delay"),
    "ServerMetadata": pb.ServerMetadataRequest(),
    "ModelMetadata": pb.ModelMetadataRequest(name="delay"),
    "ModelInfer": request("delay", tensors(1)),
}


def test_without_a_token_only_probes_are_answered(guarded: Client) -> None:
    assert guarded.call("ServerLive", pb.ServerLiveRequest()).live
    assert guarded.call("ServerReady", pb.ServerReadyRequest()).ready
    for method, message in CALLS.items():
        code, words = guarded.refusal(method, message)
        assert (code, "tokens create" in words) == ("UNAUTHENTICATED", True), method


def test_a_wrong_token_is_refused_before_anything_is_parsed(guarded: Client) -> None:
    assert guarded.refusal("ModelInfer", b"\xff\xff", authorization="Bearer nothing")[0] == "UNAUTHENTICATED"


def test_a_contributor_may_predict(guarded: Client, platform: Platform) -> None:
    assert len(guarded.infer(CALLS["ModelInfer"], **token(platform, "caller", "contributor"))["probability"]) == 1


def test_a_reader_may_look_but_not_predict(guarded: Client, platform: Platform) -> None:
    reader = token(platform, "watcher", "reader")
    for method in ("ModelReady", "ServerMetadata", "ModelMetadata"):
        guarded.call(method, CALLS[method], **reader)
    assert guarded.refusal("ModelInfer", CALLS["ModelInfer"], **reader)[0] == "PERMISSION_DENIED"


def test_it_does_not_listen_beyond_this_machine_without_authentication(home: Path) -> None:
    ended = started(home, "--host", "0.0.0.0", "--grpc-port", "0")
    assert ended.returncode == 10
    assert "EVERLOOP_AUTHENTICATION=required" in ended.stderr


def test_a_port_that_is_taken_is_named(home: Path) -> None:
    with Process(home, ["delay", "--grpc-port", "0"]) as process:
        assert process.process.stdout is not None
        port = process.process.stdout.readline().rpartition(":")[2].strip('"} \n')
        ended = started(home, "--grpc-port", port)
    assert ended.returncode == 9
    assert f":{port}" in ended.stderr
    assert "--grpc-port" in ended.stderr
    assert (ended.stdout, "Traceback" in ended.stderr) == ("", False)


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_a_port_that_cannot_be_is_refused(home: Path, port: str) -> None:
    assert started(home, "--grpc-port", port).returncode == 2


def test_it_listens_on_ipv6_too(home: Path) -> None:
    with Process(home, ["delay", "--host", "::1", "--grpc-port", "0"]) as process, Client.of(process) as client:
        assert len(client.infer(CALLS["ModelInfer"])["probability"]) == 1


def test_without_grpcio_it_says_how_to_get_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise ModuleNotFoundError(\"No module named 'grpc'\", name='grpc')")
    ended = started(home, "--grpc-port", "0", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 10
    assert "pip install 'everloop[grpc]'" in ended.stderr


def test_without_a_port_for_it_nothing_of_grpc_is_imported(home: Path, tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise SystemExit(77)")
    with Process(home, ["delay"], PYTHONPATH=str(tmp_path)) as process:
        assert process.infer().status_code == 200


def test_a_stream_of_nobody_is_refused(guarded: Client, platform: Platform) -> None:
    body = request("delay", tensors(1)).SerializeToString()
    with pytest.raises(grpc.RpcError) as refusal:
        guarded.stream([body])
    assert refusal.value.code() == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as refusal:
        guarded.stream([body], **token(platform, "streaming-reader", "reader"))
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED
