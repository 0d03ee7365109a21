"""A platform that runs elsewhere: the same calls as in process, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from everloop.app import areas
from everloop.app.arguments import texts_of
from everloop.app.serverstore import server_store
from everloop.kernel.errors import EverloopError, NotFound, Problem, Unavailable, error_of
from everloop.kernel.usecase import UseCase, named
from everloop.store.entities import Digest
from everloop.store.service import Store

if TYPE_CHECKING:
    import httpx

MSGPACK = "application/msgpack"
_BYTES = {"Content-Type": "application/octet-stream"}
ATTEMPTS = 5
"""How often a call is tried while the server does not answer: the waits double from 0.1 s."""


class _Refusal(msgspec.Struct):
    error: Problem


class RemotePlatform:
    """The use cases of a server. Calls check their arguments here, and travel as MessagePack, which keeps every value.

    A call that the server did not answer is tried again: reads always, writes under the idempotency key that makes
    them happen once; what is long, or shows a secret, never.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        project: str = "",
        http: httpx.Client | None = None,
        random: Random | None = None,
    ) -> None:
        areas.load_all()
        self.project = project
        self._url = url.rstrip("/")
        self._token = token
        self._http = http or _client()
        self._random = random or SystemRandom()

    def call(self, name: str, arguments: Mapping[str, object], *, project: str = "", key: str = "") -> Any:
        """Call a use case by name; the answer is of the type that the use case declares.

        Raises:
            NotFound: there is no such use case.
            Unavailable: the server did not answer.
            EverloopError: whatever the use case raised on the other side, as the same class.
        """
        usecase = _usecase(name)
        bound = usecase.bind(arguments)
        headers = {"Content-Type": MSGPACK, "Accept": MSGPACK, "X-Everloop-Project": project or self.project}
        if usecase.repeatable:
            headers["Idempotency-Key"] = key or f"{self._random.getrandbits(128):032x}"
        path, parameters, content = _request_of(usecase, bound)
        response = self._send(
            usecase.method,
            f"/api/v1{path}",
            attempts=ATTEMPTS if usecase.repeatable or usecase.reads_only else 1,
            headers=headers,
            params=parameters,
            content=content,
        )
        try:
            return msgspec.msgpack.decode(response.content, type=usecase.result)
        except msgspec.DecodeError:
            raise _stranger(response) from None

    def put(self, content: bytes) -> Digest:
        """Keep bytes in the server's store."""
        return self.store.put(content)

    def get_object(self, digest: Digest) -> bytes:
        """The bytes at an address of the server's store."""
        return self._send("GET", f"/api/v1/objects/{quote(digest, safe='')}").content

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._url

    @cached_property
    def store(self) -> Store:
        """The server's store: only what it lacks travels there, in packs."""
        return server_store(self)

    def send(self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] = _BYTES) -> bytes:
        """The answer to a request for bytes below `/api/v1`; repeating one is harmless."""
        return self._send(method, f"/api/v1{path}", headers={**_BYTES, **headers}, content=content).content

    def close(self) -> None:
        """Give back the connections."""
        self._http.close()

    def _send(self, method: str, path: str, *, attempts: int = ATTEMPTS, **request: Any) -> httpx.Response:
        headers = {name: value for name, value in request.pop("headers", {}).items() if value}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        for attempt in range(attempts):
            if attempt:
                time.sleep(0.1 * 2 ** (attempt - 1))
            try:
                response = self._http.request(method, self._url + path, headers=headers, **request)
            except _network_errors() as error:
                failure: EverloopError = Unavailable(
                    f"{self._url} did not answer ({error}).", hint="Is the server running? everloop up starts one."
                )
                continue
            if response.is_success:
                return response
            failure = _error_in(response)
            if response.status_code != Unavailable.status:
                break
        raise failure


def _request_of(usecase: UseCase, bound: dict[str, object]) -> tuple[str, dict[str, list[str]], bytes | None]:
    """The path, the query and the body that carry the arguments."""
    in_path = {name: bound.pop(name) for name in usecase.path_parameters}
    texts = {name: msgspec.to_builtins(value) for name, value in in_path.items()}
    path = usecase.path.format(**{name: quote(str(text), safe="") for name, text in texts.items()})
    if usecase.method in ("GET", "DELETE"):
        return path, texts_of(usecase, bound), None
    return path, {}, msgspec.msgpack.encode(bound)


def _error_in(response: httpx.Response) -> EverloopError:
    try:
        return error_of(msgspec.json.decode(response.content, type=_Refusal).error)
    except msgspec.DecodeError:
        return _stranger(response)


def _stranger(response: httpx.Response) -> Unavailable:
    return Unavailable(
        f"{response.url} answered {response.status_code} and is no Everloop server of this version.",
        hint="Check the URL, and that both sides have the same version of everloop.",
    )


def _usecase(name: str) -> UseCase:
    found = named(name)
    if found is None:
        raise NotFound(f"There is no use case {name!r}.", hint="everloop --help lists what there is.")
    return found


def _client() -> httpx.Client:
    import httpx

    return httpx.Client(timeout=httpx.Timeout(30.0, read=None), follow_redirects=False)


def _network_errors() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.TransportError, httpx.InvalidURL)
