"""What stands in front of every HTTP door: who may call, from where, and how much they may send."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everloop.app.settings import Settings
from everloop.governance.entities import Principal
from everloop.kernel.errors import (
    EverloopError,
    InvalidInput,
    Misconfigured,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from everloop.server.answers import refusal_of

Authenticate = Callable[[str], Principal]
"""Gives the principal that a token's secret belongs to, or raises Unauthenticated."""

LOCAL = Principal("local", ("owner",))
PUBLIC = frozenset({"/healthz", "/readyz", "/health", "/version", "/ping", "/v2/health/live", "/v2/health/ready"})
"""Paths that tell nothing but that the process lives, so that probes need no token."""
BODY_SECONDS = 30.0
"""How long a client may keep us waiting for the next piece of a request's body."""
MOST_HELD = 256 << 20
"""While the bodies of others hold so many bytes in memory, no more is read of another; its client may try again."""
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Gate:
    """Says who asks, whatever the protocol.

    `local` is who a request without a token acts as, where `authentication` is `auto` and it comes from this machine;
    `anybody` is who it acts as from anywhere, where the network is what keeps others out.
    """

    settings: Settings
    authenticate: Authenticate
    local: Principal = LOCAL
    anybody: Principal | None = None

    async def caller(self, headers: Headers, client: str, public: bool) -> Principal | None:
        """Who asks from the address `client`; None where the public may ask and it tells no more of itself.

        Raises:
            Unauthenticated: it shows no token and must, or one that lets nobody in.
        """
        found = self.at_once(headers, client)
        if isinstance(found, str):
            return await run_in_threadpool(self.authenticate, found)
        if found is not None or public:
            return found
        raise Unauthenticated(
            "This server wants a token.",
            hint="Send Authorization: Bearer <secret>; an owner makes one with everloop tokens create.",
        )

    def at_once(self, headers: Headers, client: str) -> Principal | str | None:
        """Who asks, as far as that is known without looking a token up: then it is the token. None: nobody.

        Raises:
            Unauthenticated: the header that shows a token makes no sense.
        """
        if self.anybody is not None:
            return self.anybody  # Whatever it shows is for whoever stands in front: a cloud's own signature, say.
        secret = secret_of(headers)
        if secret:
            return secret
        here = self.settings.authentication == "auto" and _is_from_here(client, headers)
        return self.local if here else None


def guard(
    app: ASGIApp,
    settings: Settings,
    authenticate: Authenticate,
    local: Principal = LOCAL,
    refuse: Callable[[EverloopError], Response] = refusal_of,
    takes_files: Callable[[str], bool] = lambda _path: False,
) -> ASGIApp:
    """The app behind every check. What it lets through has the caller as `request.state.principal`.

    `local` is who a request without a token acts as, where `authentication` is `auto` and it comes from this machine.
    `refuse` words what is not let through, as the door behind words its own errors. `takes_files` says of which paths
    the app does not hold bodies in memory.
    """
    return Guard(app, Gate(settings, authenticate, local), refuse, takes_files)


class Guard:
    """An app behind every check; `refuse` words what is not let through."""

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        refuse: Callable[[EverloopError], Response],
        takes_files: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._gate = gate
        self._takes_files = takes_files
        self._limits = gate.settings.max_body_mb << 20, gate.settings.max_file_mb << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"there is no door for {scope['type']}")
        hardened, limited = _Hardened(send), _Limited(receive, self._limit(scope), self._takes_files(scope["path"]))
        try:
            await self._admit(scope)
            await self._app(scope, limited, hardened)
        except EverloopError as error:
            if hardened.started:
                raise
            await self._refuse(error)(scope, receive, hardened)
        finally:
            limited.release()

    async def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        check_host(headers, self._gate.settings)
        check_origin(headers)
        check_length(headers, self._limit(scope))
        client = (scope.get("client") or ("",))[0]
        principal = await self._gate.caller(headers, client, scope["path"] in PUBLIC)
        scope.setdefault("state", {})["principal"] = principal

    def _limit(self, scope: Scope) -> int:
        body, file = self._limits
        return file if self._takes_files(scope["path"]) else body


class _Limited:
    """A receive channel that gives up on bodies that are too large or too slow, or too many at once.

    What is `streamed` is never whole in memory.
    """

    held = 0
    """So many bytes of bodies are in memory, of all requests of the process."""

    def __init__(self, receive: Receive, limit: int, streamed: bool) -> None:
        self._receive = receive
        self._limit = limit
        self._streamed = streamed
        self._read = 0
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise Unavailable(f"The request's body stopped coming for {BODY_SECONDS:g} s.") from None
        size = len(message.get("body", b""))
        self._read += size
        _Limited.held += 0 if self._streamed else size
        self._complete = not message.get("more_body", False)
        if self._read > self._limit:
            raise _too_large(self._limit)
        if not self._streamed and _Limited.held - self._read > MOST_HELD:
            raise Unavailable("Too many large bodies are on their way.", hint="Try again in a moment.")
        return message

    def release(self) -> None:
        """The request has been answered, and its body forgotten."""
        _Limited.held -= 0 if self._streamed else self._read


class _Hardened:
    """A send channel that adds the security headers which the app did not set itself."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def check_host(headers: Headers, settings: Settings) -> None:
    """Refuse names that are not ours: a page elsewhere can point its own name at this machine (DNS rebinding).

    Addresses are no names, so every address is let through; `*` among the allowed hosts lets every name through.

    Raises:
        InvalidInput: there is no Host header, or more than one.
        PermissionDenied: it names a host that is not allowed.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        raise InvalidInput(f"The request has {len(hosts)} Host headers.", hint="Send exactly one.")
    name = hostname(hosts[0])
    ours = name == "localhost" or is_address(name) or name == settings.host
    if not ours and not {name, "*"} & set(settings.allowed_hosts):
        raise PermissionDenied(
            f"This server does not answer to the host {name!r}.",
            hint=f"Use its address, or add the name: EVERLOOP_ALLOWED_HOSTS={name}",
        )


def check_origin(headers: Headers) -> None:
    """Refuse what a page of another site makes a visitor's browser send.

    Raises:
        PermissionDenied: the request comes from another origin.
    """
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers["host"].lower():
        raise PermissionDenied(
            f"A page of {origin} may not call this server.", hint="Only pages that it served itself may."
        )
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        raise PermissionDenied("A page of another site may not call this server.")


def check_length(headers: Headers, limit: int) -> None:
    """Refuse a body that says itself that it is too large, before any of it is read.

    Raises:
        TooLarge: it is over `limit` bytes.
    """
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)


def check_exposure(host: str, settings: Settings, has_token: Callable[[], bool]) -> None:
    """Refuse to listen beyond this machine without authentication, or where nobody could get in.

    Raises:
        Misconfigured: others could reach the server and it would not ask who they are, or there is no token that works.
    """
    if is_loopback(host):
        return
    if settings.authentication != "required":
        raise Misconfigured(
            f"Listening on {host} would let everybody in.",
            hint="Set EVERLOOP_AUTHENTICATION=required, or listen on 127.0.0.1.",
        )
    if not has_token():
        raise Misconfigured(
            f"Listening on {host} with authentication needs a token, and there is none.",
            hint="Make one first: everloop tokens create --help.",
        )


def secret_of(headers: Headers) -> str:
    """The token that a request shows: as a bearer, or as the password of basic authentication (as browsers ask for).

    Raises:
        Unauthenticated: the header is there and makes no sense.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("", "bearer"):
        return credentials.strip()
    if scheme.lower() != "basic":
        raise Unauthenticated(f"Authorization by {scheme!r} is not known here.", hint="Send Bearer <secret>.")
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        raise Unauthenticated("The basic authorization is not base64 of name:token.") from None


def hostname(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; "" for what is more than name and port."""
    if set("@/?#\\") & set(host):  # Of which a URL is made elsewhere, with another name for its host.
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def _is_from_here(client: str, headers: Headers) -> bool:
    """A proxy on this machine forwards requests of others, so what was forwarded is not trusted."""
    return is_loopback(client) and not any(name in headers for name in _FORWARDED)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request's body is over the limit of {limit >> 20} MB.",
        hint="Send less at once, or raise EVERLOOP_MAX_BODY_MB (EVERLOOP_MAX_FILE_MB for artifacts).",
    )
