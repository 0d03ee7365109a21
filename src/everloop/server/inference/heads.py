"""Heads of requests on the hot path: parsed, checked and routed once, then known by their very bytes.

Clients on a connection that is kept send the same head again and again, so all that it means (the route, whether it may
be let in, how long its body is) is looked up by its bytes. Bytes that are equal mean the same thing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from everloop.governance.entities import Principal
from everloop.governance.roles import allows
from everloop.kernel.errors import NotFound
from everloop.server.inference import oip
from everloop.server.inference.asking import KEY_HEADER, TIMEOUT_HEADER
from everloop.server.inference.carriage import ECHOED, LONGEST
from everloop.server.inference.plan import Plan
from everloop.server.security import Gate
from everloop.server.shortcut import LONGEST_HEAD, UNUSUAL, Parsed, admitted

if TYPE_CHECKING:
    from everloop.server.inference.dataplane import DataPlane
    from everloop.server.inference.turns import Turns

MOST = 1024
"""So many heads are known at once."""
LARGEST_JSON = 1 << 18
LARGEST_BODY = 1 << 22
"""Larger bodies are read by the door, in a thread."""


class Head:
    """What the bytes of a head mean. `end` is where the JSON ends in the body."""

    __slots__ = ("accepts", "close", "echo", "end", "id", "length", "plan", "secret", "timeout", "turns", "version")

    def __init__(self, headers: Headers, turns: Turns, plan: Plan, length: int) -> None:
        self.turns = turns
        self.version = ""
        self.plan = plan
        self.length = length
        self.end = length
        self.id = headers.get(KEY_HEADER, "")
        self.accepts = headers.get("accept-encoding", "")
        self.timeout = 0.0
        self.secret = ""
        self.close = False
        named = [(name, headers[name]) for name in ECHOED if name in headers and len(headers[name]) <= LONGEST]
        self.echo = "".join(f"{name}: {value}\r\n" for name, value in named).encode("latin-1")


class Heads:
    """The heads that clients at one kind of address send: their bytes mean the same for all of them."""

    def __init__(self, plane: DataPlane, gate: Gate, client: str) -> None:
        self._plane = plane
        self._gate = gate
        self._client = client
        self._limit = gate.settings.max_body_mb << 20
        self._known: dict[bytes, Head | None] = {}
        self._turns = plane.turns

    def find(self, raw: bytes) -> Head | None:
        """What a head means, from its first byte to the empty line; None when the door shall answer."""
        if self._turns is not self._plane.turns:
            self._known.clear()
            self._turns = self._plane.turns
        try:
            return self._known[raw]
        except KeyError:
            if len(raw) > LONGEST_HEAD:
                return None
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[raw] = self._read(raw)
            return found

    def _read(self, raw: bytes) -> Head | None:
        parsed = Parsed(raw)
        if not parsed.complete or parsed.ended or parsed.method != b"POST" or parsed.version != "1.1":
            return None
        headers = Headers(raw=parsed.headers)
        turns = self._asked(parsed.url)
        length = headers.get("content-length", "")
        if turns is None or not length.isdecimal() or any(name in headers for name in UNUSUAL):
            return None
        head = Head(headers, turns, Plan(turns.served), int(length))
        head.close = not parsed.keeps
        head.version = _version(parsed.url)
        return head if self._measured(head, headers) and self._lets_in(head, headers) else None

    def _asked(self, url: bytes) -> Turns | None:
        """The turns of what a path names, when it is one for predictions and has nothing unusual."""
        parts = url.split(b"/")
        versioned = len(parts) == 7 and parts[4] == b"versions"
        if b"%" in url or b"?" in url or not (len(parts) == 5 or versioned):
            return None
        if parts[:3] != [b"", b"v2", b"models"] or parts[-1] != b"infer":
            return None
        try:
            return self._plane.asked(parts[3].decode("ascii"), _version(url))
        except (NotFound, UnicodeDecodeError):
            return None

    def _measured(self, head: Head, headers: Headers) -> bool:
        """Whether the lengths that the head names make sense, and are not for the door."""
        binary, timeout = headers.get(oip.BINARY_HEADER, ""), headers.get(TIMEOUT_HEADER, "0")
        if (binary and not binary.isdecimal()) or not timeout.isdecimal():
            return False
        head.end = int(binary[:20]) if binary else head.length
        head.timeout = int(timeout[:12]) / 1e3
        return 0 < head.end <= min(head.length, LARGEST_JSON) and head.length <= LARGEST_BODY

    def _lets_in(self, head: Head, headers: Headers) -> bool:
        """Whether the guard would let it in; a token is looked up by whoever asks."""
        found = admitted(headers, self._gate, self._client, self._limit)
        if isinstance(found, str):
            head.secret = found
            return True
        return found is not None and may_predict(found)


def _version(url: bytes) -> str:
    """The version that a path names."""
    parts = url.split(b"/")
    return parts[5].decode("ascii") if len(parts) == 7 else ""


def may_predict(principal: Principal) -> bool:
    """Whether a principal may ask for predictions."""
    return allows(principal.roles, "endpoints:predict")
