"""A package served without a platform: a real process, with MLflow's own client among those that ask."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from everloop.kernel.errors import Corrupted, Misconfigured
from everloop.server.inference.standalone import Exposure, gate_of, opened
from tests.server.inference.packages import ROOT, Standalone, unpacked

pytestmark = pytest.mark.slow
ROW = {"distance": 1.5, "hour": 2, "carrier": "AA", "wet": True}
BODY = json.dumps({"dataframe_records": [ROW]})
HEAVY = ("sqlalchemy", "pyarrow", "duckdb", "httpx", "pandas", "lightgbm", "everloop.app.platform", "everloop.catalog")


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A process that serves two packages, and takes bodies up to a megabyte."""
    folder = tmp_path_factory.mktemp("packages")
    places = (unpacked(folder / "late"), unpacked(folder / "both", "both", 1))
    with Standalone(*places, "--max-body-mb", 1) as process:
        yield process


def test_it_says_where_it_is_and_what_it_serves(late: Standalone) -> None:
    assert late.said["models"] == ["late/3", "both/1"]
    assert late.http.get("/v2").json()["models"] == ["both", "late"]


@pytest.mark.parametrize("path", ["/", "/ping", "/health", "/healthz", "/readyz", "/v2/health/ready", "/version"])
def test_it_is_alive_at_every_path_that_somebody_probes(late: Standalone, path: str) -> None:
    assert late.http.get(path).status_code == 200
    assert late.http.head(path).status_code == 200


def test_it_predicts(late: Standalone) -> None:
    assert late.post("/invocations", BODY).json() == {"predictions": [23.5], "model_version": "3"}


def test_several_scores_are_a_list_in_each_row(late: Standalone) -> None:
    inputs = [{"name": "distance", "datatype": "FP64", "shape": [1], "data": [250]}]
    found = late.http.post("/v2/models/both/infer", json={"inputs": inputs}).json()
    assert {output["name"]: output["data"] for output in found["outputs"]} == {"early": [0.75], "late": [0.25]}


def test_answers_come_as_csv_or_lines_to_those_who_want_them(late: Standalone) -> None:
    rows = json.dumps({"instances": [ROW, ROW | {"distance": None}]})
    assert late.post("/invocations", rows, Accept="text/csv").text == "23.5\nnull\n"
    assert late.post("/invocations", rows, Accept="application/jsonlines; q=1").text == "23.5\nnull\n"
    assert late.post("/invocations", rows, Accept="*/*").json()["predictions"] == [23.5, None]


def test_mlflows_own_client_is_answered(late: Standalone) -> None:
    client = pytest.importorskip("mlflow.pyfunc.scoring_server.client").ScoringServerClient("127.0.0.1", 0)
    client.url_prefix = late.said["address"]
    client.ping()
    assert client.get_version()
    frame = pytest.importorskip("pandas").DataFrame([ROW, ROW | {"distance": 2.5}])
    assert client.invoke(frame).get_predictions()[0].tolist() == [23.5, 24.5]


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=["gzip", "deflate"]
)
def test_compressed_bodies_are_read(late: Standalone, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    assert late.post("/invocations", pack(BODY.encode()), Content_Encoding=encoding).json()["predictions"] == [23.5]


def test_large_answers_are_packed_for_those_who_ask(late: Standalone) -> None:
    rows = json.dumps({"instances": [ROW] * 2000})
    packed = late.post("/invocations", rows, Accept_Encoding="gzip")
    plain = late.post("/invocations", rows, Accept_Encoding="identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


def test_a_requests_name_comes_back_with_its_answer_and_with_its_refusal(late: Standalone) -> None:
    for body, status in ((BODY, 200), ("{", 400)):
        answer = late.post("/invocations", body, X_Request_Id="r1", X_Ms_Client_Request_Id="m1")
        assert (answer.status_code, answer.headers["x-request-id"], answer.headers["x-ms-client-request-id"]) == (
            status,
            "r1",
            "m1",
        )
    assert "x-request-id" not in late.post("/invocations", BODY, X_Request_Id="x" * 5000).headers


def test_metrics_count_rows_by_model(late: Standalone) -> None:
    late.post("/invocations", BODY)
    assert 'everloop_predictions_total{model="late",version="3"}' in late.http.get("/metrics").text


BAD: dict[str, tuple[str, str, bytes, dict[str, str], int, str]] = {
    "no JSON": ("POST", "/invocations", b"hello", {}, 400, "no scoring request"),
    "empty": ("POST", "/invocations", b"", {}, 400, "no scoring request"),
    "cut off": ("POST", "/invocations", BODY.encode()[:-3], {}, 400, "truncated"),
    "invalid UTF-8": ("POST", "/invocations", BODY.encode().replace(b"AA", b"\xff"), {}, 400, "scoring request"),
    "half a surrogate": ("POST", "/invocations", BODY.encode().replace(b"AA", b"\\ud800"), {}, 400, ""),
    "deep nesting": ("POST", "/invocations", b'{"a":' + b"[" * 99_999 + b"]" * 99_999 + b"}", {}, 400, "recursion"),
    "unknown type": ("POST", "/invocations", b"x", {"Content-Type": "text/plain"}, 415, "text/plain"),
    "a form": ("POST", "/invocations", b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "form"),
    "other charset": ("POST", "/invocations", b"", {"Content-Type": "text/csv; charset=utf-16"}, 415, "utf-16"),
    "missing column": ("POST", "/invocations", b'{"inputs": {"hour": [1]}}', {}, 400, "Missing: distance"),
    "unknown column": ("POST", "/invocations", BODY.replace("wet", "dry").encode(), {}, 400, "Unknown: dry"),
    "text in numbers": ("POST", "/invocations", BODY.replace("1.5", '"1.5"').encode(), {}, 400, "distance"),
    "gap where there may be none": ("POST", "/invocations", BODY.replace("2", "null").encode(), {}, 400, "hour"),
    "no rows": ("POST", "/invocations", b'{"dataframe_records": []}', {}, 400, ""),
    "unknown encoding": ("POST", "/invocations", b"x", {"Content-Encoding": "br"}, 400, "br"),
    "broken gzip": ("POST", "/invocations", b"\x1f\x8bxx", {"Content-Encoding": "gzip"}, 400, "gzip"),
    "half a gzip": ("POST", "/invocations", gzip.compress(b"x" * 999)[:-9], {"Content-Encoding": "gzip"}, 400, "gzip"),
    "a bomb": ("POST", "/invocations", gzip.compress(b" " * 9_000_000), {"Content-Encoding": "gzip"}, 413, "limit"),
    "too large": ("POST", "/invocations", b" " * (1 << 20) + b"{}", {}, 413, "limit"),
    "wrong method": ("GET", "/invocations", b"", {}, 405, "GET"),
    "options": ("OPTIONS", "/invocations", b"", {}, 405, "OPTIONS"),
    "deleted": ("DELETE", "/ping", b"", {}, 405, "DELETE"),
    "unknown path": ("GET", "/v3", b"", {}, 404, "/v3"),
    "unknown model": ("GET", "/v2/models/nothing", b"", {}, 404, "nothing"),
    "another site": ("POST", "/invocations", b"{}", {"Origin": "https://evil.example"}, 403, "evil.example"),
    "another name": ("GET", "/v2", b"", {"Host": "evil.example"}, 403, "evil.example"),
    "no time at all": ("POST", "/invocations", BODY.encode(), {"X-Request-Timeout-Ms": "-1"}, 400, "milliseconds"),
    "a token that is none": ("POST", "/invocations", BODY.encode(), {"Authorization": "Bearer x"}, 401, "token"),
    "strange authorization": ("GET", "/v2", b"", {"Authorization": "Digest x"}, 401, "Digest"),
    "score: no JSON": ("POST", "/score", b"{", {}, 400, "scoring request"),
    "score: no table": ("POST", "/score", b'{"input_data": 5}', {}, 400, "not a table"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_the_protocols_form_and_the_next_request_is_served(late: Standalone, case: str) -> None:
    method, path, body, headers, status, said = BAD[case]
    named = {"Content-Type": "application/json"} | headers
    answer = httpx.request(method, late.said["address"] + path, content=body, headers=named, timeout=20)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    if path in ("/invocations", "/score"):
        assert answer.json()["error_code"].isupper()
        assert answer.json()["message"] == answer.json()["error"]
    assert (status == 405) == ("allow" in answer.headers)
    assert late.post("/invocations", BODY).status_code == 200


def test_a_model_that_raises_is_the_servers_fault_and_the_next_request_is_served(late: Standalone) -> None:
    answer = late.post("/invocations", BODY.replace("1.5", "-1"))
    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL_ERROR")
    assert "below zero" not in answer.text
    assert late.post("/invocations", BODY).status_code == 200


def test_a_gigabyte_is_refused_before_any_of_it_is_sent(late: Standalone) -> None:
    address = urlsplit(late.said["address"])
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as sent:
        sent.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        assert sent.recv(1000).startswith(b"HTTP/1.1 413")
    assert late.post("/invocations", BODY).status_code == 200


def test_a_deadline_that_cannot_be_met_is_told_at_once(late: Standalone) -> None:
    for _ in range(2):  # The second time it is known how long the first one takes.
        slow = threading.Thread(target=late.post, args=("/invocations", BODY.replace("1.5", "2e6")))
        slow.start()
        time.sleep(0.1)
        answer = late.post("/invocations", BODY, X_Request_Timeout_Ms="50")
        slow.join()
    assert (answer.status_code, answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    process = Standalone(unpacked(tmp_path / "late"))
    assert process.http.get("/ping").status_code == 200
    assert process.stop() == 0


def test_with_a_token_nobody_else_gets_in(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    with Standalone(unpacked(tmp_path / "late"), "--host", "0.0.0.0", "--token-file", secret) as process:
        process.http.base_url = httpx.URL(process.said["address"].replace("0.0.0.0", "127.0.0.1"))
        assert process.http.get("/ping").status_code == 200
        assert process.post("/invocations", BODY).status_code == 401
        assert process.post("/invocations", BODY, Authorization="Bearer s3cret").status_code == 200
        assert (
            process.post("/invocations", BODY, Authorization="Bearer s3cret", Host="model.cluster").status_code == 200
        )


def test_beyond_this_machine_somebody_must_say_who_may_come(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"0\.0\.0\.0"):
        gate_of(Exposure("0.0.0.0"))
    process = Standalone(unpacked(tmp_path / "late"), "--host", "0.0.0.0")
    assert "--open" in process.said["errors"]
    assert process.stop() == Misconfigured.exit_code


def test_an_open_door_answers_to_every_name_and_asks_nobody(tmp_path: Path) -> None:
    with Standalone(unpacked(tmp_path / "late"), "--host", "0.0.0.0", "--open") as process:
        process.http.base_url = httpx.URL(process.said["address"].replace("0.0.0.0", "127.0.0.1"))
        headers = {"Host": "model.cluster", "Authorization": "AWS4-HMAC-SHA256 Credential=x"}
        assert process.http.get("/v2", headers=headers).status_code == 200


@pytest.mark.parametrize("content", ["", "{", '{"model": 5}'])
def test_what_is_no_package_is_told(tmp_path: Path, content: str) -> None:
    if content:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(Misconfigured, match="no package"):
        opened(tmp_path)


def test_it_imports_nothing_of_a_platform() -> None:
    script = (
        "import sys, everloop.server.inference.standalone, everloop.server.inference.awslambda; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    found = set(done.stdout.split())
    assert not [name for name in HEAVY if name in found]


def test_a_running_server_is_small(late: Standalone) -> None:
    status = Path(f"/proc/{late.process.pid}/status").read_text()
    megabytes = int(status.split("VmRSS:")[1].split()[0]) >> 10
    assert megabytes < 80


def test_it_answers_grpc_beside_http(tmp_path: Path) -> None:
    client = pytest.importorskip("tritonclient.grpc")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with Standalone(unpacked(tmp_path / "late"), "--grpc-port", port) as process:
        assert process.http.get("/ping").status_code == 200
        with client.InferenceServerClient(f"127.0.0.1:{port}") as asked:
            assert asked.is_model_ready("late")
            assert asked.get_model_metadata("late").versions == ["3"]


@pytest.mark.parametrize("name", [b"tests.server.inference.linear:Nothing", b"os:abort", b"subprocess:Popen"])
def test_a_package_that_names_no_flavor_is_refused_in_words(tmp_path: Path, name: bytes) -> None:
    folder = unpacked(tmp_path / "late")
    manifest = folder / "manifest.json"
    manifest.write_bytes(re.sub(rb"tests[.a-z]*linear:Linear", name, manifest.read_bytes()))
    with pytest.raises(Corrupted, match="no flavor"):
        opened(folder)
