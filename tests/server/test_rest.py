"""The REST door: what it answers to good and bad requests."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from starlette.testclient import TestClient

from everloop.app.platform import Platform
from everloop.kernel.usecase import UseCase
from everloop.server.rest import DEPTH
from everloop.server.routing import Routes
from everloop.store.service import digest_of
from tests.sdk.scenario import model, objects

API = "/api/v1"
JSON = {"content-type": "application/json"}


def problem(response: object) -> dict[str, str]:
    """The error in a response."""
    return dict(response.json()["error"])  # type: ignore[attr-defined]


def test_a_read_takes_its_arguments_from_path_and_query(http: TestClient) -> None:
    http.post(f"{API}/experiments", json={"name": "delay"})
    assert http.get(f"{API}/experiments/delay").json()["name"] == "delay"
    assert len(http.get(f"{API}/audit/entries", params={"kind": "experiments.", "limit": 5}).json()) == 1


def test_a_write_takes_its_arguments_from_a_json_object(http: TestClient) -> None:
    answer = http.post(f"{API}/experiments", json={"name": "delay", "description": "Is it late?"})
    assert answer.status_code == 200
    assert answer.json()["description"] == "Is it late?"


def test_message_pack_goes_in_and_comes_out(http: TestClient) -> None:
    content = msgspec.msgpack.encode({"name": "delay"})
    headers = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    answer = http.post(f"{API}/experiments", content=content, headers=headers)
    assert answer.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(answer.content)["name"] == "delay"


def test_a_path_that_leads_nowhere_says_where_the_map_is(http: TestClient) -> None:
    answer = http.get(f"{API}/nothing")
    assert answer.status_code == 404
    assert "openapi.json" in problem(answer)["hint"]


def test_a_wrong_method_says_which_ones_there_are(http: TestClient) -> None:
    answer = http.delete(f"{API}/experiments")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


def test_an_escaped_slash_is_part_of_the_name(http: TestClient) -> None:
    run = http.post(f"{API}/runs", json={"experiment": "delay"}).json()["id"]
    http.post(f"{API}/runs/{run}/log", json={"metrics": [{"key": "val/auc", "value": 0.7}]})
    assert http.get(f"{API}/runs/{run}/history/val%2Fauc").json()[0]["value"] == 0.7


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "x"',
        b"[]",
        b'"name"',
        b"null",
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": 1}',
        b'{"name": null}',
        b'{"name": "x", "colour": "red"}',
        b'{"description": "no name"}',
        b'{"name": "no good name!"}',
        b'{"name": ""}',
        b'{"name": "' + b"x" * 200 + b'"}',
        b'{"name": "x", "description": "\\ud800"}',
        b"{" * 100_000,
        b'{"name": "x", "description": 1e999}',
    ],
)
def test_a_broken_or_wrong_body_is_wrong_input_and_changes_nothing(http: TestClient, body: bytes) -> None:
    answer = http.post(f"{API}/experiments", content=body, headers=JSON)
    assert answer.status_code == 400
    assert problem(answer)["code"] == "invalid_input"
    assert http.get(f"{API}/experiments").json() == []


def test_a_body_of_another_type_is_wrong_input(http: TestClient) -> None:
    answer = http.post(f"{API}/experiments", content=b"name=x", headers={"content-type": "text/plain"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in problem(answer)["hint"]


def test_what_is_nested_deeper_than_anything_sensible_is_wrong_input(http: TestClient) -> None:
    evidence = "[" * DEPTH + "]" * DEPTH
    body = f'{{"decision": "approved", "reason": "", "evidence": {{"x": {evidence}}}}}'.encode()
    answer = http.post(f"{API}/models/x/versions/1/approvals", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "nested" in problem(answer)["message"]


@pytest.mark.parametrize("limit", ["ten", "1.5", "", "[1]"])
def test_a_number_in_the_query_that_is_none_is_wrong_input(http: TestClient, limit: str) -> None:
    answer = http.get(f"{API}/audit/entries", params={"limit": limit})
    assert answer.status_code == 400
    assert "limit" in problem(answer)["message"]


def test_a_number_beyond_64_bits_is_wrong_input(http: TestClient) -> None:
    answer = http.get(f"{API}/audit/entries", params={"before": 1 << 70})
    assert (answer.status_code, problem(answer)["code"]) == (400, "invalid_input")


def test_an_argument_that_is_given_twice_is_wrong_input(http: TestClient) -> None:
    answer = http.post(f"{API}/experiments?name=a", json={"name": "b"})
    assert answer.status_code == 400
    assert "twice" in problem(answer)["message"]


def test_an_unknown_argument_in_the_query_is_wrong_input(http: TestClient) -> None:
    assert http.get(f"{API}/experiments", params={"colour": "red"}).status_code == 400


def test_a_project_is_chosen_by_header_and_sees_nothing_of_others(http: TestClient) -> None:
    http.post(f"{API}/experiments", json={"name": "delay"}, headers={"X-Everloop-Project": "other"})
    assert http.get(f"{API}/experiments").json() == []
    assert len(http.get(f"{API}/experiments", headers={"X-Everloop-Project": "other"}).json()) == 1


def test_a_project_that_is_no_name_is_wrong_input(http: TestClient) -> None:
    assert http.get(f"{API}/experiments", headers={"X-Everloop-Project": "../x"}).status_code == 400


def test_a_write_with_an_idempotency_key_happens_once(http: TestClient) -> None:
    first = http.post(f"{API}/runs", json={"experiment": "delay"}, headers={"Idempotency-Key": "k"}).json()
    again = http.post(f"{API}/runs", json={"experiment": "delay"}, headers={"Idempotency-Key": "k"}).json()
    assert first == again
    assert len(http.get(f"{API}/runs").json()) == 1


def test_an_idempotency_key_is_not_for_another_request(http: TestClient) -> None:
    http.post(f"{API}/runs", json={"experiment": "a"}, headers={"Idempotency-Key": "k"})
    answer = http.post(f"{API}/runs", json={"experiment": "b"}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, problem(answer)["code"]) == (409, "conflict")


def test_a_secret_is_never_kept_under_an_idempotency_key(http: TestClient, platform: Platform) -> None:
    http.put(f"{API}/principals/ada", json={"roles": ["reader"]})
    made = http.post(f"{API}/tokens", json={"principal": "ada"}, headers={"Idempotency-Key": "k"}).json()
    database = (platform.resources.home / "catalog.db").read_bytes()
    database += (platform.resources.home / "catalog.db-wal").read_bytes()
    assert made["secret"].encode() not in database


def test_bytes_come_back_under_their_address(http: TestClient) -> None:
    stored = http.post(f"{API}/objects", content=b"some bytes").json()
    assert stored == {"digest": digest_of(b"some bytes"), "size": 10}
    answer = http.get(f"{API}/objects/{stored['digest']}")
    assert answer.content == b"some bytes"
    assert answer.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("digest", ["0" * 64, "x", "..", "../../catalog.db", "%2e%2e%2fcatalog.db", "A" * 64])
def test_an_address_that_is_none_is_not_found(http: TestClient, digest: str) -> None:
    assert http.get(f"{API}/objects/{digest}").status_code == 404


def test_a_crash_tells_an_id_and_nothing_else(
    http: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(self: Platform, *arguments: object, **named: object) -> None:
        raise ZeroDivisionError("the secret sauce")

    monkeypatch.setattr(Platform, "call", crash)
    answer = http.get(f"{API}/experiments")
    assert answer.status_code == 500
    assert "sauce" not in answer.text
    identity = problem(answer)["message"].split()[-1].rstrip(").")
    assert identity in caplog.text
    assert "the secret sauce" in caplog.text


@pytest.fixture
def reader(platform: Platform) -> Iterator[str]:
    """The secret of somebody who may only read."""
    platform.call("governance.grant", {"principal": "rita", "roles": ["reader"]})
    return platform.call("tokens.create", {"principal": "rita"}).secret


def test_a_principal_without_the_role_is_refused(http: TestClient, reader: str) -> None:
    bearer = {"Authorization": f"Bearer {reader}"}
    assert http.get(f"{API}/experiments", headers=bearer).status_code == 200
    answer = http.post(f"{API}/experiments", json={"name": "x"}, headers=bearer)
    assert (answer.status_code, problem(answer)["code"]) == (403, "permission_denied")
    assert http.post(f"{API}/objects", content=b"x", headers=bearer).status_code == 403


def test_the_ledger_names_the_principal_of_the_token(http: TestClient, platform: Platform) -> None:
    platform.call("governance.grant", {"principal": "ada", "roles": ["contributor"]})
    secret = platform.call("tokens.create", {"principal": "ada"}).secret
    http.post(f"{API}/experiments", json={"name": "x"}, headers={"Authorization": f"Bearer {secret}"})
    assert http.get(f"{API}/audit/entries?limit=1").json()[0]["principal"] == "ada"


def test_no_two_use_cases_may_share_a_route() -> None:
    def same(session: object) -> None: ...

    twins = [UseCase(name, same, "x:read", "GET /same", long=False, secret=False) for name in ("a.b", "a.c")]
    with pytest.raises(ValueError, match="same route"):
        Routes(twins)


REPORT = {"endpoint": "e", "end": "2026-01-02T00:00:00Z", "rows": 1, "model_version": 1}


@pytest.mark.parametrize("start", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_cannot_be_kept_is_wrong_input_wherever_it_stands(
    http: TestClient, platform: Platform, start: str
) -> None:
    for data in objects():
        platform.resources.store.put(data)
    platform.call("models.register", {"name": "m", "trained": model()[0]})
    platform.call("endpoints.create", {"name": "e", "model": "m"})
    answer = http.post(f"{API}/monitors/e/reports", json={"report": REPORT | {"start": start}})
    assert (answer.status_code, problem(answer)["code"]) == (400, "invalid_input")
    assert http.get(f"{API}/monitors/e/reports").json() == []
