"""Which heads of requests take the short cut, and what they mean."""

from __future__ import annotations

import msgspec
import pytest

from everloop.app.settings import Settings
from everloop.governance.entities import Principal
from everloop.kernel.errors import Unauthenticated
from everloop.server.mlflow.fastheads import KnownHeads
from everloop.server.security import LOCAL, Gate

CLIENT = (
    b"Host: 127.0.0.1:7410\r\nUser-Agent: mlflow-python-client/3.17.2\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\nConnection: keep-alive\r\n"
)
JSON = CLIENT + b"Content-Length: 71\r\nContent-Type: application/json\r\n\r\n"


def nobody(secret: str) -> Principal:
    """Lets no token in."""
    raise Unauthenticated(secret)


def heads(client: str = "127.0.0.1", **settings: object) -> KnownHeads:
    """The heads of clients at an address."""
    return KnownHeads(Gate(msgspec.convert(settings, Settings), nobody), client)


@pytest.mark.parametrize("root", ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"])
@pytest.mark.parametrize(
    "path",
    ["log-metric", "log-batch", "log-parameter", "set-tag", "create", "update", "search"],
)
def test_what_mlflow_s_client_sends_takes_the_short_cut(root: str, path: str) -> None:
    found = heads().find(f"POST {root}/runs/{path} HTTP/1.1\r\n".encode() + JSON)
    assert found is not None
    assert (found.length, found.close, found.known.who, found.known.project) == (71, False, LOCAL, "")


@pytest.mark.parametrize(
    "path", ["runs/get?run_id=a%2Fb", "metrics/get-history?run_id=a&metric_key=b+c", "experiments/get?experiment_id=0"]
)
def test_a_read_brings_its_query(path: str) -> None:
    found = heads().find(f"GET /api/2.0/mlflow/{path} HTTP/1.1\r\n".encode() + CLIENT + b"\r\n")
    assert found is not None
    assert found.query == path.partition("?")[2]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "POST /api/2.0/mlflow/runs/delete",
            "POST /api/2.0/mlflow/runs/log-metric?x=1",
            "PUT /api/2.0/mlflow/runs/create",
        ),
        *(
            "POST /api/2.0/mlflow/runs/log-metric/",
            "POST /api/2.0/mlflow//runs/log-metric",
            "POST /api/2.0/mlflow/runs/get",
        ),
        *(
            "post /api/2.0/mlflow/runs/create",
            "POST  /api/2.0/mlflow/runs/create",
            "POST http://x/api/2.0/mlflow/runs/create",
        ),
        *(
            "POST /api/v1/runs/x/points",
            "POST /api/v1/runs/" + "a" * 33 + "/points",
            "POST /api/2.0/mlflow/runs/%63reate",
        ),
    ],
)
def test_other_requests_go_to_the_door(line: str) -> None:
    assert heads().find(f"{line} HTTP/1.1\r\n".encode() + JSON) is None


@pytest.mark.parametrize("query", ["a b", "a#b", 'a"', "a<", "ä", "a?b", "a/b", "a;b", "a\x00"])
def test_a_query_with_odd_characters_goes_to_the_door(query: str) -> None:
    line = f"GET /api/2.0/mlflow/runs/get?run_id={query} HTTP/1.1\r\n".encode()
    assert heads().find(line + CLIENT + b"\r\n") is None


@pytest.mark.parametrize(
    "more",
    [
        *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n"),
        *(b"Upgrade: h2c\r\n", b"Content-Length: 5\r\n", b"Host: other\r\n", b" folded: x\r\n", b"no colon\r\n"),
        *(
            b"Origin: http://evil\r\n",
            b"Authorization: Digest x\r\n",
            b"Via: proxy\r\n",
            b"X: " + b"x" * 4096 + b"\r\n",
        ),
    ],
)
def test_what_is_unusual_in_the_headers_goes_to_the_door(more: bytes) -> None:
    assert heads().find(b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\n" + more + JSON) is None


def test_a_body_of_another_type_and_one_that_is_too_large_go_to_the_door() -> None:
    line = b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\n"
    assert heads().find(line + JSON.replace(b"application/json", b"text/plain")) is None
    assert heads().find(line + JSON.replace(b"71", b"2000000")) is None
    assert heads().find(line + CLIENT + b"\r\n") is None


def test_who_shows_a_token_is_looked_up_and_who_shows_none_from_elsewhere_is_refused_by_the_door() -> None:
    line = b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\n"
    found = heads("192.0.2.1").find(line + b"Authorization: Bearer secret\r\n" + JSON)
    assert found is not None
    assert found.known.who == "secret"
    assert heads("192.0.2.1").find(line + JSON) is None
    assert heads(authentication="required").find(line + JSON) is None


def test_points_of_our_own_clients_name_run_writer_and_sequence() -> None:
    head = (
        f"POST /api/v1/runs/{'0a' * 16}/points HTTP/1.1\r\nX-Everloop-Writer: w\r\nX-Everloop-Sequence: 7\r\n".encode()
    )
    found = heads().find(head + CLIENT + b"Content-Length: 9\r\n\r\n")
    assert found is not None
    assert (found.run, found.known.writer, found.known.sequence, found.length) == ("0a" * 16, "w", "7", 9)


def test_so_many_different_heads_are_kept_and_no_more() -> None:
    known = heads()
    for length in range(1, 3000):
        assert known.find(b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\n" + JSON.replace(b"71", b"%d" % length))
    assert len(known._known) <= 1024


def test_a_read_that_is_the_last_of_its_connection_is_known_as_that() -> None:
    line, last = b"GET /api/2.0/mlflow/runs/get?run_id=a HTTP/1.1\r\n", CLIENT.replace(b"keep-alive", b"close")
    kept, ended = heads().find(line + CLIENT + b"\r\n"), heads().find(line + last + b"\r\n")
    assert kept is not None
    assert ended is not None
    assert (kept.close, ended.close) == (False, True)


@pytest.mark.parametrize("line", ["GET /api/2.0/mlflow/runs/get?run_id=a", "POST /api/2.0/mlflow/runs/log-metric"])
def test_a_length_of_too_many_digits_hides_no_request_in_a_body(line: str) -> None:
    length = b"Content-Length: " + b"0" * 20 + b"71\r\nContent-Type: application/json\r\n\r\n"
    assert heads().find(f"{line} HTTP/1.1\r\n".encode() + CLIENT + length) is None
