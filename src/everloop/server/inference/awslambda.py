"""AWS Lambda: `everloop.server.inference.awslambda.handler` answers function URLs, API Gateway, load balancers, calls.

The package lies in the function's folder, or where `EVERLOOP_PACKAGE` says; it is loaded once, while Lambda starts the
process. Requests go through the very door that serves over HTTP, in one event loop that is kept between calls.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlencode

import msgspec
from starlette.types import ASGIApp, Message, Scope

from everloop.kernel.errors import EverloopError, InvalidInput
from everloop.server.inference.asking import TIMEOUT_HEADER
from everloop.server.inference.door import build_app
from everloop.server.inference.refusals import refusal
from everloop.server.inference.standalone import TOKEN, Exposure, gate_of, opened, serving

PACKAGE = "EVERLOOP_PACKAGE"
BASE_PATH = "EVERLOOP_BASE_PATH"
"""The variable with what a custom domain puts in front of every path, such as /models."""
Json = dict[str, Any]
_TEXT = ("application/json", "text/", "application/jsonlines")


class Context(Protocol):
    """What Lambda tells of a call."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """How long the call may still take."""
        ...


class Call(msgspec.Struct, frozen=True):
    """An HTTP request, whatever kind of event it came in. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    client: str = ""


class Reply(msgspec.Struct, frozen=True):
    """What the door answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class Function:
    """The door of one package, asked call by call; `model` is what it serves."""

    def __init__(self, app: ASGIApp, model: str) -> None:
        self.model = model
        self._app = app
        self._loop = asyncio.new_event_loop()

    def ask(self, call: Call) -> Reply:
        """The answer to a request."""
        return self._loop.run_until_complete(_asked(self._app, call))


@cache
def function() -> Function:
    """The function of this process; the first call loads the model.

    Raises:
        Misconfigured: there is no package, or the library that its model needs is missing.
    """
    place = os.environ.get(PACKAGE) or os.environ.get("LAMBDA_TASK_ROOT") or "."
    gate = gate_of(Exposure("0.0.0.0", os.environ.get(TOKEN, ""), open=True))  # Nothing listens.
    model = opened(Path(place))
    return Function(build_app(serving([model], gate, os.environ)), model.name)


def handler(event: Json, context: Context | None = None) -> Any:
    """The answer to an event, in the form that its sender reads. A plain event gets the predictions themselves.

    Raises:
        EverloopError: a plain event cannot be answered; Lambda tells the caller.
    """
    if "httpMethod" not in event and "http" not in (event.get("requestContext") or {}):
        return _plain(function().ask(_told(_call_of_plain(event), context)))
    return _worded(_reply(event, context), event)


def _reply(event: Json, context: Context | None) -> Reply:
    try:
        return function().ask(_told(_call_of(event), context))
    except EverloopError as error:
        refused = refusal(error)
        return Reply(refused.status_code, dict(refused.headers), bytes(refused.body))


def _worded(reply: Reply, event: Json) -> Json:
    """A reply in base64 where it is no text, with a load balancer's extras where one asks."""
    binary = "content-encoding" in reply.headers or not reply.headers.get("content-type", "text/").startswith(_TEXT)
    found: Json = {
        "statusCode": reply.status,
        "headers": reply.headers,
        "isBase64Encoded": binary,
        "body": base64.b64encode(reply.body).decode() if binary else reply.body.decode(),
    }
    if event.get("multiValueHeaders") is not None:
        found["multiValueHeaders"] = {name: [value] for name, value in reply.headers.items()}
    if "elb" in (event.get("requestContext") or {}):
        found["statusDescription"] = f"{reply.status} {'OK' if reply.status < 400 else 'Refused'}"
    return found


def _call_of(event: Json) -> Call:
    """Version 2 (function URLs, HTTP APIs) has `requestContext.http`; version 1 and load balancers `httpMethod`."""
    context = event.get("requestContext") or {}
    http = context.get("http", {})
    headers = {name.lower(): ",".join(values) for name, values in (event.get("multiValueHeaders") or {}).items()}
    headers |= {
        name.lower(): value for name, value in (event.get("headers") or {}).items() if name.lower() not in headers
    }
    body = event.get("body") or ""
    return Call(
        http.get("method") or event["httpMethod"],
        _path(event.get("rawPath") or event.get("path") or "/", str(context.get("stage", ""))),
        event["rawQueryString"] if "rawQueryString" in event else _query(event),
        headers,
        _bytes(body) if event.get("isBase64Encoded") else body.encode(),
        http.get("sourceIp") or (context.get("identity") or {}).get("sourceIp", ""),
    )


def _call_of_plain(event: Json) -> Call:
    """An event that is itself the request: of the inference protocol when its inputs are tensors, else a table."""
    inputs = event.get("inputs")
    tensors = isinstance(inputs, list) and all(isinstance(i, dict) and i.keys() >= {"name", "datatype"} for i in inputs)
    path = "/invocations"
    if inputs and tensors:
        path = f"/v2/models/{function().model}/infer"
    return Call("POST", path, "", {"content-type": "application/json"}, msgspec.json.encode(event))


def _plain(reply: Reply) -> Any:
    found = msgspec.json.decode(reply.body)
    if reply.status >= 400:
        raise (InvalidInput if reply.status < 500 else EverloopError)(found["error"])
    return found


def _told(call: Call, context: Context | None) -> Call:
    """The call with what Lambda knows of it: its id, and how long it may take."""
    beside = {"host": "lambda"}
    if context is not None:
        beside |= {"x-request-id": context.aws_request_id, TIMEOUT_HEADER: str(context.get_remaining_time_in_millis())}
    return msgspec.structs.replace(call, headers=beside | call.headers)


def _path(path: str, stage: str) -> str:
    """The path below the stage and the custom domain's base path."""
    for prefix in (f"/{stage}" if stage and stage != "$default" else "", os.environ.get(BASE_PATH, "").rstrip("/")):
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            path = path[len(prefix) :] or "/"
    return path


def _query(event: Json) -> str:
    several: Mapping[str, Any] = event.get("multiValueQueryStringParameters") or {}
    return urlencode(several or event.get("queryStringParameters") or {}, doseq=True)


def _bytes(body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise InvalidInput(f"The event's body is not base64: {error}.") from None


async def _asked(app: ASGIApp, call: Call) -> Reply:
    sent: list[Message] = []
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(_scope(call), receive, send)
    start = sent[0]
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Reply(start["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def _scope(call: Call) -> Scope:
    headers = call.headers | {"content-length": str(len(call.body))}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": call.method.upper(),
        "scheme": "https",
        "path": unquote(call.path),
        "raw_path": call.path.encode(),
        "root_path": "",
        "query_string": call.query.encode(),
        "headers": [
            (name.encode("latin-1", "replace"), str(value).encode("latin-1", "replace"))
            for name, value in headers.items()
        ],
        "client": (call.client, 0),
        "server": ("lambda", 443),
    }


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    function()  # While Lambda starts the process it gives a whole core, and the first call does not wait.
