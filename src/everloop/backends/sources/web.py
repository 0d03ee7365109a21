"""A file behind an HTTP or HTTPS URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

import httpx

from everloop.datasets.remotes.reach import Reach, parts_of, shown
from everloop.datasets.remotes.sources import Reference, same
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Unavailable

HOPS = 5
"""So many redirects are followed; each place that one leads to is judged like the first."""
_BLOCK = 1 << 20
_TIMEOUT = httpx.Timeout(30.0)


class WebSource:
    """One file. We connect to the very address that was judged, so that a name cannot lead elsewhere afterwards."""

    def __init__(self, url: str, reach: Reach) -> None:
        self._url = url
        self._reach = reach

    def listed(self) -> Iterator[Reference]:
        """The file, as its headers tell."""
        with self._answer("HEAD") as response:
            if response.status_code not in (405, 501):
                yield self._reference(response)
                return
        with self._answer("GET") as response:
            yield self._reference(response)

    def read(self, reference: Reference) -> Iterator[bytes]:
        """The bytes of the file, if its headers are what they were."""
        with self._answer("GET") as response:
            if not same(reference, self._reference(response)):
                raise Conflict(f"{shown(self._url)} was changed since it was imported.", hint="Import it again.")
            try:
                yield from response.iter_bytes(_BLOCK)
            except httpx.HTTPError as error:
                raise _silent(self._url, error) from None

    def _reference(self, response: httpx.Response) -> Reference:
        if response.is_error:
            raise _error(self._url, response.status_code)
        modified = response.headers.get("last-modified", "")
        tag = response.headers.get("etag", "") or (f"modified {modified}" if modified else "")
        length = response.headers.get("content-length", "")
        if not length.isdecimal():
            raise InvalidInput(
                f"{shown(self._url)} does not say how large it is.", hint="Download it, and add the file."
            )
        return Reference(self._url, _name(self._url), int(length), tag)

    @contextmanager
    def _answer(self, method: str) -> Iterator[httpx.Response]:
        """The answer of the place that the last redirect leads to."""
        url = self._url
        with httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            for _ in range(HOPS + 1):
                try:
                    response = client.send(self._request(client, method, url), stream=True)
                except httpx.HTTPError as error:
                    raise _silent(url, error) from None
                try:
                    if not response.has_redirect_location:
                        yield response
                        return
                    url = urljoin(url, response.headers["location"])
                finally:
                    response.close()
        raise Unavailable(f"{shown(self._url)} leads from one place to another, more than {HOPS} times.")

    def _request(self, client: httpx.Client, method: str, url: str) -> httpx.Request:
        parts = parts_of(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise InvalidInput(
                f"{shown(url)} is no URL of a file.", hint="Write https://host/file, without a password."
            )
        port = parts.port or (443 if parts.scheme == "https" else 80)
        address = self._reach.address(parts.hostname, port)
        host = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(parts._replace(netloc=f"{host}:{port}", fragment=""))
        headers = {"Host": parts.netloc, "Accept-Encoding": "identity"}
        return client.build_request(method, pinned, headers=headers, extensions={"sni_hostname": parts.hostname})


def open_source(url: str, reach: Reach) -> WebSource:
    """The file behind `https://host/path`."""
    reach.check(url)
    return WebSource(url, reach)


def _name(url: str) -> str:
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or "index"


def _silent(url: str, error: Exception) -> Unavailable:
    return Unavailable(f"{shown(url)} did not answer ({error}).", hint="Try again later.")


def _error(url: str, status: int) -> NotFound | PermissionDenied | Unavailable:
    if status in (404, 410):
        return NotFound(f"There is nothing at {shown(url)} (it answers {status}).")
    if status in (401, 403):
        return PermissionDenied(f"{shown(url)} may not be read (it answers {status}).")
    return Unavailable(f"{shown(url)} answers {status}.", hint="Try again later.")
