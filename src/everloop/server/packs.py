"""The hot routes for many objects at once, beside `/objects`: which are missing, a pack in, a pack out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response

from everloop.app.platform import Platform
from everloop.governance.roles import allows, require
from everloop.server.answers import answer
from everloop.store.leases import rely
from everloop.store.parcels import parcel, raws_in, receive

AT_ONCE = 4
"""So many packs are in memory at the same time; other requests wait before their bodies are read."""
BYTES = "application/octet-stream"
T = TypeVar("T")


class PackRoutes:
    """`POST /objects/missing`, `POST /objects/batch` and `POST /packs`, of a platform's store."""

    def __init__(self, platform: Platform) -> None:
        self._objects = platform.resources.store.objects
        self._memory = anyio.Semaphore(AT_ONCE)
        self.routes = {"/objects/missing": self.missing, "/objects/batch": self.batch, "/packs": self.pack}

    async def missing(self, request: Request) -> Response:
        """Those of the addresses (32 bytes each) that the store lacks; those that it has stay for a day at least."""
        principal = request.state.principal
        require(principal, "objects:read")
        wanted = set(raws_in(await request.body()))

        def look_up() -> bytes:
            absent = self._objects.missing(wanted)
            there = wanted - absent
            if there and allows(principal.roles, "objects:write"):
                absent |= rely(self._objects, there)
            return b"".join(sorted(absent))

        return Response(await _in_thread(look_up), media_type=BYTES)

    async def batch(self, request: Request) -> Response:
        """A pack with some of the addressed objects, as many as fit; the caller asks again for the others."""
        require(request.state.principal, "objects:read")
        wanted = raws_in(await request.body())
        async with self._memory:
            return Response(await _in_thread(lambda: parcel(self._objects, wanted)), media_type=BYTES)

    async def pack(self, request: Request) -> Response:
        """Keep what is in a pack; every entry is verified."""
        require(request.state.principal, "objects:write")
        async with self._memory:
            body = await request.body()
            return answer(await _in_thread(lambda: receive(self._objects, body)))


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
