"""Files over HTTP: an object of the store as an answer that is never whole in memory, with ranges; and back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.store.entities import Digest
from everloop.store.ranged import stream
from everloop.store.receiving import BLOCK, Receiving

if TYPE_CHECKING:
    from everloop.store.service import Store

THREADS = 8
"""So many of them are read or written at once, beside everything else that the server does."""
LARGE_AT_ONCE = 8
"""So many large ones are received at once, as each has some packs in memory; others wait for a place."""
PATIENCE_SECONDS = 60.0
DRAINED = 64 << 20
"""So much of a body that is refused is read all the same: a client that is cut off does not hear why."""
_RANGE = re.compile(r"bytes=(?:(\d{1,19})-(\d{0,19})|-(\d{1,19}))")
T = TypeVar("T")


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it is in the store, and what it is called."""

    name: str
    digest: Digest
    size: int


class Files:
    """Sends and receives the objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, "files")
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def receive(self, receive: Receive, check: Callable[[], None]) -> tuple[Digest, int]:
        """Keep the body of a request: its address and size, when it is durable. `check` says beforehand what is wrong.

        Raises:
            ClientDisconnect: the client has gone; nothing was kept.
            EverloopError: what `check` raises, after as much of the body was read as is sensible.
            Unavailable: too many others send large files.
        """
        try:
            await self.soon(check)
        except EverloopError:
            await _drain(receive)
            raise
        body, receiving = _Body(receive), Receiving(self._store)
        try:
            block = await body.block()
            if not body.complete:
                block = await self._receive_large(body, receiving, block)
            await self.soon(receiving.feed, block)
            return await self.soon(receiving.finish), receiving.size
        finally:
            await self.soon(receiving.close)

    async def _receive_large(self, body: _Body, receiving: Receiving, block: list[bytes]) -> list[bytes]:
        """Take all but the last block: while one is worked on, the next is on its way."""
        try:
            await asyncio.wait_for(self._large.acquire(), PATIENCE_SECONDS)
        except TimeoutError:
            raise Unavailable("Too many large files are on their way.", hint="Try again.") from None
        try:
            while not body.complete:
                working = self.soon(receiving.feed, block)
                try:
                    block = await body.block()
                finally:
                    await working
        finally:
            self._large.release()
        return block

    def answer(self, file: StoredFile) -> FileAnswer:
        """The answer that sends a file."""
        return FileAnswer(self, file)

    def pieces(self, file: StoredFile, wanted: range) -> Iterator[bytes]:
        """Some of a file's bytes."""
        return stream(self._store, file.digest, wanted.start, wanted.stop)

    def soon(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        """Do what blocks in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class FileAnswer(Response):
    """An answer that sends a file or a range of it, or says that the client has it already."""

    def __init__(self, files: Files, file: StoredFile) -> None:
        self._files = files
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as ASGI has it.

        Raises:
            NotFound: the store does not have it.
            Corrupted: it is damaged; where that shows late, the connection ends before the answer does.
        """
        file, asked = self._file, Headers(scope=scope)
        tag = f'"{file.digest}"'
        headers = {"content-type": "application/octet-stream", "accept-ranges": "bytes", "etag": tag}
        headers["content-disposition"] = disposition(file.name)
        if tag in _tags(asked.get("if-none-match", "")):
            await _start(send, 304, headers)
            await _end(send)
            return
        wanted = range_of(asked.get("range", ""), file.size) if asked.get("if-range", tag) == tag else None
        if scope["method"] != "GET" or wanted is None:
            headers["content-length"] = str(file.size)
            await self._send(send, 200, headers, range(file.size if scope["method"] == "GET" else 0))
        elif wanted:
            headers |= {"content-length": str(len(wanted))}
            headers["content-range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{file.size}"
            await self._send(send, 206, headers, wanted)
        else:
            headers |= {"content-length": "0", "content-range": f"bytes */{file.size}"}
            await self._send(send, 416, headers, wanted)

    async def _send(self, send: Send, status: int, headers: Mapping[str, str], wanted: range) -> None:
        """Send the head and the wanted bytes: while some are on their way, the next are read."""
        pieces = self._files.pieces(self._file, wanted) if wanted else iter(())
        piece = await self._files.soon(next, pieces, b"")  # What is missing is told before anything is sent.
        await _start(send, status, headers)
        while piece:
            ahead = self._files.soon(next, pieces, b"")
            try:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                piece = await ahead
        await _end(send)


class _Body:
    """The body of a request, in blocks."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = False

    async def block(self) -> list[bytes]:
        """The next bytes, in the pieces that they came in.

        Raises:
            ClientDisconnect: the client has gone.
        """
        pieces: list[bytes] = []
        size = 0
        while size < BLOCK and not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect()
            if piece := message.get("body", b""):
                pieces.append(piece)
                size += len(piece)
            self.complete = not message.get("more_body", False)
        return pieces


def disposition(name: str) -> str:
    """The header that makes a browser keep a file instead of showing it."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}" if name else "attachment"


def range_of(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for, empty when there are none; None where all shall be sent."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return range(max(0, size - int(suffix)), size)
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return range(start, stop) if start < size else range(0)


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


async def _drain(receive: Receive) -> None:
    read, more = 0, True
    while more and read < DRAINED:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _end(send: Send) -> None:
    await send({"type": "http.response.body", "body": b""})
