"""The heads of requests that are answered without ASGI: which endpoint they name, and who sends them.

Clients send the same headers again and again, so what they mean is known by their bytes; the first line is a route, and
of a GET the query.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from starlette.datastructures import Headers

from everloop.governance.entities import Principal
from everloop.server.answers import JSON
from everloop.server.mlflow import batches, experiments, history, runs, search
from everloop.server.mlflow.endpoint import ENDPOINTS, Endpoint
from everloop.server.points import SEQUENCE, WRITER
from everloop.server.security import Gate
from everloop.server.shortcut import LONGEST_HEAD, UNUSUAL, Parsed, admitted

MOST = 1024
"""So many sets of headers are known at once."""
LARGEST_BODY = 1 << 20
"""Larger bodies are read by the door, in a thread."""
EAGER = ("runs/log-metric", "runs/log-batch", "runs/log-parameter", "runs/set-tag")
"""What writes to runs and waits for nothing but its commit."""
READS = ("runs/get", "metrics/get-history", "experiments/get", "experiments/get-by-name")
SLOW = ("runs/create", "runs/update", "runs/search")
"""What takes its time in a thread."""
MODULES = (batches, experiments, history, runs, search)
"""Where these endpoints are; they are published when they are imported."""
_ROOTS = {"/api/2.0/mlflow": "/api/2.0", "/ajax-api/2.0/mlflow": "/ajax-api"}
_END = b" HTTP/1.1"
_QUERY = re.compile(rb"[A-Za-z0-9_.~%&=+-]*")
_POINTS = re.compile(rb"POST /api/v1/runs/([0-9a-f]{32})/points HTTP/1\.1")
Kind = Literal["eager", "read", "slow", "points"]


class Route(msgspec.Struct, frozen=True):
    """Where a first line leads; `door` is what it is counted under."""

    kind: Kind
    door: str
    method: str
    endpoint: Endpoint | None = None


class Known(msgspec.Struct, frozen=True):
    """What headers mean: who asks (or the token that it shows), for which project, and how much is sent."""

    who: Principal | str
    project: str
    length: int
    close: bool
    is_json: bool
    writer: str
    sequence: str


class Head(msgspec.Struct, frozen=True):
    """What the bytes of a head mean."""

    route: Route
    known: Known
    length: int
    close: bool
    query: str = ""
    run: str = ""


def routes() -> dict[bytes, Route]:
    """The routes by first line, of a GET without its query and what follows."""
    found: dict[bytes, Route] = {}
    for root, door in _ROOTS.items():
        for kind, paths in (("eager", EAGER), ("read", READS), ("slow", SLOW)):
            for path in paths:
                method, end = ("GET", b"") if kind == "read" else ("POST", _END)
                route = Route(kind, door, method, ENDPOINTS[path][method])  # type: ignore[arg-type]  # One of the kinds.
                found[f"{method} {root}/{path}".encode() + end] = route
    return found


class KnownHeads:
    """The heads that clients at one kind of address send: their bytes mean the same for all of them."""

    def __init__(self, gate: Gate, client: str) -> None:
        self._gate = gate
        self._client = client
        self._limit = min(gate.settings.max_body_mb << 20, LARGEST_BODY)
        self._routes = routes()
        self._known: dict[bytes, Known | None] = {}

    def find(self, raw: bytes) -> Head | None:
        """What a head means, from its first byte to the empty line; None when the door shall answer."""
        line, _, headers = raw.partition(b"\r\n")
        route, query, run = self._routes.get(line), b"", b""
        if route is None:
            route, query, run = self._with_more(line)
        if route is None or len(raw) > LONGEST_HEAD:
            return None
        known = self._of(headers)
        if known is None or (known.length > 0) == (route.kind == "read"):
            return None
        if route.endpoint is not None and not known.is_json and known.length > 0:
            return None
        return Head(route, known, max(known.length, 0), known.close, query.decode(), run.decode())

    def _with_more(self, line: bytes) -> tuple[Route | None, bytes, bytes]:
        """The route of a line that names more than a path, with its query and its run."""
        if line.startswith(b"GET "):
            path, _, query = line.removesuffix(_END).partition(b"?")
            is_usual = line.endswith(_END) and _QUERY.fullmatch(query) is not None
            return (self._routes.get(path) if is_usual else None), query, b""
        points = _POINTS.fullmatch(line)
        return (_TO_POINTS, b"", points[1]) if points else (None, b"", b"")

    def _of(self, raw: bytes) -> Known | None:
        try:
            return self._known[raw]
        except KeyError:
            found = self._read(raw)
            if found is None or not found.sequence:  # What is counted never comes twice.
                if len(self._known) >= MOST:
                    self._known.clear()
                self._known[raw] = found
            return found

    def _read(self, raw: bytes) -> Known | None:
        parsed = Parsed(b"POST / HTTP/1.1\r\n" + raw)
        headers = Headers(raw=parsed.headers)
        length = headers.get("content-length", "")
        if not parsed.complete or any(name in headers for name in UNUSUAL) or not (length.isdecimal() or length == ""):
            return None
        who = admitted(headers, self._gate, self._client, self._limit)
        if who is None:
            return None
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        project = headers.get("x-everloop-project", "")
        told = headers.get(WRITER, ""), headers.get(SEQUENCE, "")
        return Known(who, project, int(length or -1), not parsed.keeps, media == JSON, *told)


_TO_POINTS = Route("points", "/api/v1", "POST")
