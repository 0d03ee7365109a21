"""Tokens: registries such as Docker Hub and GHCR name a place that gives one for a repository, and want that."""

from __future__ import annotations

import re
from collections.abc import Generator
from time import perf_counter

import httpx
import msgspec

from everloop.kernel.errors import PermissionDenied, Unavailable

LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
_PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_SECONDS = 60.0
"""For so long a token is good that does not say it."""


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""
    expires_in: float = _SECONDS


class RegistryAuth(httpx.Auth):
    """Shows a registry who we are, as it asks: by a token for this repository, or by name and password.

    The token is made anew before it ends, because a blob on its way cannot be sent a second time. Nothing is shown to
    other hosts than the registry's and the one that gives tokens.
    """

    requires_response_body = True

    def __init__(self, host: str, name: str, login: tuple[str, str] | None) -> None:
        self._host = httpx.URL(f"//{host}").host
        self._scope = f"repository:{name}:pull,push"
        self._basic = httpx.BasicAuth(*login) if login else None
        self._challenge: dict[str, str] = {}
        self._shown = ""
        self._until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request, with what is asked for in front of it."""
        if request.url.host != self._host:
            yield request
            return
        if self._challenge and perf_counter() > self._until:
            yield from self._renewed()
        answer = yield self._showing(request)
        if answer.status_code != 401 or self._challenge:
            return
        kind, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if kind.lower() == "bearer":
            self._challenge = dict(_PAIR.findall(rest))
            yield from self._renewed()
        elif kind.lower() == "basic" and self._basic and not self._shown:
            self._shown = next(self._basic.auth_flow(httpx.Request("GET", request.url))).headers["Authorization"]
        else:
            return
        yield self._showing(request)

    def _showing(self, request: httpx.Request) -> httpx.Request:
        if self._shown:
            request.headers["Authorization"] = self._shown
        return request

    def _renewed(self) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask for a token."""
        realm = httpx.URL(self._challenge.get("realm", ""))
        if realm.scheme != "https" and not (realm.scheme == "http" and realm.host in LOCAL and self._host in LOCAL):
            raise PermissionDenied(
                f"The registry {self._host} sends us to {str(realm) or 'nowhere'!r} for a token.",
                hint="Nothing is shown there, since others could read it on its way.",
            )
        wanted = {"scope": self._scope} | {key: self._challenge[key] for key in ("service",) if key in self._challenge}
        asking = httpx.Request("GET", realm.copy_merge_params(wanted))
        answer = yield next(self._basic.auth_flow(asking)) if self._basic else asking
        if answer.status_code in (401, 403):
            raise PermissionDenied(
                f"{realm.host} gives no token for {self._scope}.", hint=f"Log in first: docker login {self._host}."
            )
        try:
            found = msgspec.json.decode(answer.content, type=_Token)
        except msgspec.MsgspecError:
            found = _Token()
        secret = found.token or found.access_token
        if not answer.is_success or not secret:
            raise Unavailable(f"{realm.host} answered {answer.status_code} and no token.", hint="Try again later.")
        self._shown, self._until = f"Bearer {secret}", perf_counter() + found.expires_in / 2
