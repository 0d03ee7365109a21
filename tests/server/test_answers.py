"""What the HTTP doors say: values and errors, as JSON or MessagePack."""

from __future__ import annotations

import logging

import msgspec
import pytest
from starlette.requests import Request

from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound, Unauthenticated, error_of
from everloop.server.answers import JSON, MSGPACK, StoredObject, answer, crash, refusal_of, wanted_media


def request_for(accept: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept", accept.encode())]})


@pytest.mark.parametrize(
    ("accept", "media"),
    [("", JSON), ("*/*", JSON), (MSGPACK, MSGPACK), (f"{MSGPACK}, */*;q=0.5", MSGPACK), ("text/html", JSON)],
)
def test_a_client_gets_the_form_that_it_asks_for(accept: str, media: str) -> None:
    assert wanted_media(request_for(accept)) == media


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_a_value_is_written_in_either_form(media: str) -> None:
    decode = msgspec.msgpack.decode if media == MSGPACK else msgspec.json.decode
    found = answer(StoredObject("d", 5), media)
    assert (found.status_code, found.headers["content-type"]) == (200, media)
    assert decode(found.body) == {"digest": "d", "size": 5}


def test_not_a_number_is_null_in_json_and_itself_in_messagepack() -> None:
    assert answer(float("nan")).body == b"null"
    assert str(msgspec.msgpack.decode(answer(float("nan"), MSGPACK).body)) == "nan"


@pytest.mark.parametrize("error", [NotFound("No.", hint="Look."), Conflict("Taken."), InvalidInput("What?")])
def test_an_error_arrives_as_what_it_was(error: EverloopError) -> None:
    found = refusal_of(error)
    problem = msgspec.convert(msgspec.json.decode(found.body)["error"], type(error.problem))
    assert (found.status_code, problem) == (error.status, error.problem)
    assert type(error_of(problem)) is type(error)


def test_only_who_is_not_known_is_asked_for_a_token() -> None:
    asked = refusal_of(Unauthenticated("Who are you?"))
    assert (asked.status_code, asked.headers["www-authenticate"].partition(" ")[0]) == (401, "Bearer")
    assert "www-authenticate" not in refusal_of(NotFound("No.")).headers


def test_a_crash_tells_the_client_an_id_and_the_log_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "everloop.server"):
        found = crash(ValueError("the password is hunter2"), "e-77")
    assert found.status_code == 500
    assert b"hunter2" not in found.body
    assert b"e-77" in found.body
    assert "e-77" in caplog.text
    assert "hunter2" in caplog.text
