"""The bytes of artifacts for MLflow's clients: up, in parts too, and down, below `mlflow-artifacts` and where UIs ask.

Of an upload in parts nothing is remembered: a part is an object of the store, its ETag is its address, and what is left
behind goes with a sweep. So parts may come in any order, from many clients, to several servers, and again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeVar
from urllib.parse import parse_qs, quote

import msgspec
from starlette.responses import Response

from everloop.kernel.errors import InvalidInput, TooLarge
from everloop.kernel.usecase import Json
from everloop.server.answers import JSON
from everloop.server.files import Files, StoredFile
from everloop.server.mlflow import artifacts, traces
from everloop.server.mlflow.artifacts import Place
from everloop.server.mlflow.endpoint import Caller
from everloop.server.mlflow.paths import checked, invalid, unescaped
from everloop.server.mlflow.refusals import refusal
from everloop.store.entities import Digest
from everloop.store.objects import raw_of
from everloop.store.ranged import stream
from everloop.store.receiving import Receiving

if TYPE_CHECKING:
    from starlette.requests import Request

    from everloop.app.platform import Platform

ROOT = "/mlflow-artifacts/"
LARGEST_OF_A_PAGE = 10 << 20
"""What `upload-artifact` takes, as in MLflow."""
MOST_PARTS = 10_000
PAGES = ("/get-artifact", "/model-versions/get-artifact")
_MODEL_FILES = "/artifacts/files"
_UPLOAD = "/mlflow/upload-artifact"
_OF_TRACE = "/mlflow/get-trace-artifact"
_SPANS = "traces.json"
"""What older clients upload the spans of a trace as."""
S = TypeVar("S", bound=msgspec.Struct)


class Create(msgspec.Struct, frozen=True):
    """The beginning of an upload in parts."""

    path: str
    num_parts: Annotated[int, msgspec.Meta(ge=1, le=MOST_PARTS)] = 1


class Part(msgspec.Struct, frozen=True):
    """A part that has come."""

    part_number: int
    etag: str = ""
    url: str | None = None


class Complete(msgspec.Struct, frozen=True):
    """Its end."""

    path: str
    parts: list[Part]
    upload_id: str = ""


class Abort(msgspec.Struct, frozen=True):
    """It will not be ended."""

    path: str = ""
    upload_id: str = ""


def is_bytes(below: str) -> bool:
    """Whether a path below a root of MLflow's API is one for bytes."""
    return below.startswith(ROOT) or below in (_UPLOAD, _OF_TRACE) or below.endswith(_MODEL_FILES)


def takes_files(path: str) -> bool:
    """Whether what is sent to a path may be as large as a file."""
    return f"{ROOT}artifacts/" in path or f"{ROOT}mpu/part/" in path


class ArtifactDoor:
    """The routes for bytes; each wants the caller that the door has made out."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._files = Files(platform.resources.store)

    async def respond(self, request: Request, caller: Caller, below: str) -> Response:
        """Answer a request for or with bytes. `below` is the path as it was sent, below the root."""
        query = {name: texts[-1] for name, texts in parse_qs(request.url.query, keep_blank_values=True).items()}
        if below in PAGES or below.endswith(_MODEL_FILES):
            return await self._page(request, caller, below, query)
        if below == _UPLOAD:
            return await self._from_page(request, caller, query)
        if below == _OF_TRACE:
            return await self._of_trace(request, caller, query)
        kind, _, rest = below.removeprefix(ROOT).partition("/")
        if kind == "artifacts":
            return await self._artifact(request, caller, unescaped(rest.strip("/")), query)
        if kind == "presigned" and request.method == "GET":
            return await self._signed(request, caller, unescaped(rest))
        if kind == "mpu":
            step, _, rest = rest.partition("/")
            return await self._parts(request, caller, step, rest)
        return refusal("ENDPOINT_NOT_FOUND", f"No endpoint found for {request.method} {below}.", 404)

    async def _artifact(self, request: Request, caller: Caller, path: str, query: Mapping[str, str]) -> Response:
        if not path and request.method == "GET":
            return _answer(await self._files.soon(artifacts.listing, caller, query.get("path", "")))
        if not path or request.method not in ("GET", "HEAD", "PUT", "DELETE"):
            return _wrong_method(request.method, "GET, HEAD, PUT, DELETE" if path else "GET")
        if query and request.method in ("PUT", "DELETE"):  # It is the end of a name whose ? was not escaped.
            raise invalid()
        place = artifacts.place_of(path)
        if request.method == "PUT":
            await self._receive(request, caller, place)
            return _answer({})
        if request.method == "DELETE":
            await self._files.soon(artifacts.remove, caller, place)
            return _answer({})
        return self._files.answer(await self._files.soon(artifacts.stored, caller, place))

    async def _receive(self, request: Request, caller: Caller, place: Place) -> None:
        """Take an upload as it comes, and point to it when it is whole and durable."""

        def check() -> None:
            artifacts.check_writable(caller, place)

        digest, _ = await self._files.receive(request.receive, check)
        await self._files.soon(artifacts.keep, caller, place, digest)

    async def _page(self, request: Request, caller: Caller, below: str, query: Mapping[str, str]) -> Response:
        """A file as UIs ask for it, by what it belongs to and its path there."""
        if request.method not in ("GET", "HEAD"):
            return _wrong_method(request.method, "GET, HEAD")

        def place() -> Place:
            if below == PAGES[0]:
                return artifacts.of_run(caller, query.get("run_id") or _given(query, "run_uuid"), _given(query, "path"))
            if below == PAGES[1]:
                name, version = _given(query, "name"), _given(query, "version")
                return artifacts.place_of(f"{artifacts.MODELS}/{name}/{version}/{_given(query, 'path')}")
            model = unescaped(below.removesuffix(_MODEL_FILES).rpartition("/")[2])
            return artifacts.of_logged(caller, model, _given(query, "artifact_file_path"))

        return self._files.answer(await self._files.soon(lambda: artifacts.stored(caller, place())))

    async def _of_trace(self, request: Request, caller: Caller, query: Mapping[str, str]) -> Response:
        """The spans of a trace as a file, or what is attached to them, as UIs ask for it."""
        if request.method not in ("GET", "HEAD"):
            return _wrong_method(request.method, "GET, HEAD")
        trace, attached = _given(query, "request_id"), query.get("path", "")
        found = None if attached else await self._files.soon(traces.data, caller, trace)
        if found is not None:
            headers = {"content-disposition": f"attachment; filename={_SPANS}"}
            return Response(msgspec.json.encode(found), headers=headers, media_type="application/octet-stream")

        def file() -> StoredFile:
            path = f"attachments/{attached}" if attached else _SPANS
            return artifacts.stored(caller, artifacts.of_trace(caller, trace, path))

        return self._files.answer(await self._files.soon(file))

    async def _from_page(self, request: Request, caller: Caller, query: Mapping[str, str]) -> Response:
        """A small file of a run, as UIs send it."""
        if request.method != "POST":
            return _wrong_method(request.method, "POST")
        run, path = _given(query, "run_uuid"), _given(query, "path")
        checked(path)
        data = await request.body()
        if not data:
            raise InvalidInput("Request must specify data.")
        if len(data) > LARGEST_OF_A_PAGE:
            raise TooLarge("Artifact size is too large. Max size is 10MB.")

        def keep() -> None:
            place = artifacts.of_run(caller, run, path)
            artifacts.check_writable(caller, place)
            artifacts.keep(caller, place, self._platform.resources.store.put(data))

        await self._files.soon(keep)
        return _answer({})

    async def _signed(self, request: Request, caller: Caller, path: str) -> Response:
        """Where a file can be had in pieces, and what to show there: here, as chunks and packs are no files of S3."""
        place = artifacts.place_of(path)
        file = await self._files.soon(artifacts.stored, caller, place)
        url = f"{_base(request)}{ROOT}artifacts/{quote(artifacts.path_of(place))}"
        return _answer({"url": url, "headers": _shown(request), "file_size": file.size})

    async def _parts(self, request: Request, caller: Caller, step: str, rest: str) -> Response:
        if step == "part" and request.method == "PUT":
            path = rest.split("/", 2)[2:]  # Behind the upload and the number of the part, which tell parts apart.
            return await self._part(request, caller, artifacts.place_of(unescaped("".join(path))))
        if step not in ("create", "complete", "abort") or request.method != "POST":
            return refusal("ENDPOINT_NOT_FOUND", f"No endpoint found for {request.method} {step[:80]}.", 404)
        content, folder = await request.body(), unescaped(rest)
        if step == "create":
            return await self._create(request, caller, folder, _read(content, Create))
        if step == "complete":
            return await self._complete(caller, folder, _read(content, Complete))
        _read(content, Abort)
        return _answer({})

    async def _create(self, request: Request, caller: Caller, folder: str, wanted: Create) -> Response:
        """Where each part goes, and what to show there: clients send none of their own credentials with parts."""
        place = _target(folder, wanted.path)
        await self._files.soon(artifacts.check_writable, caller, place)
        upload, path = secrets.token_hex(16), quote(artifacts.path_of(place))
        root, headers = f"{_base(request)}{ROOT}mpu/part/{upload}", _shown(request)
        credentials: list[Json] = [
            {"url": f"{root}/{number}/{path}", "part_number": number, "headers": headers}
            for number in range(1, wanted.num_parts + 1)
        ]
        return _answer({"upload_id": upload, "credentials": credentials})

    async def _part(self, request: Request, caller: Caller, place: Place) -> Response:
        digest, _ = await self._files.receive(request.receive, lambda: artifacts.check_writable(caller, place))
        return _answer({}, {"etag": f'"{digest}"'})

    async def _complete(self, caller: Caller, folder: str, wanted: Complete) -> Response:
        place, digests = _target(folder, wanted.path), _in_order(wanted.parts)

        def join() -> None:
            artifacts.check_writable(caller, place)
            artifacts.keep(caller, place, self._joined(digests))

        await self._files.soon(join)
        return _answer({})

    def _joined(self, digests: Sequence[Digest]) -> Digest:
        """The address of parts that follow each other; their chunks are in the store already."""
        store = self._platform.resources.store
        gone = store.missing(digests)
        if gone:
            raise InvalidInput(f"Part {digests.index(next(iter(gone))) + 1} is not there (any more).", hint="Send it.")
        if len(digests) == 1:
            return digests[0]
        receiving = Receiving(store)
        try:
            for digest in digests:
                for piece in stream(store, digest):
                    receiving.feed([piece])
            return receiving.finish()
        finally:
            receiving.close()


def _target(folder: str, file: str) -> Place:
    """Where an upload goes: the client's file, by its name, in a folder of artifacts."""
    return artifacts.place_of(f"{folder.strip('/')}/{PurePosixPath(file).name}")


def _in_order(parts: Sequence[Part]) -> list[Digest]:
    """The addresses of all parts.

    Raises:
        InvalidInput: one is missing, or there twice.
    """
    ordered = sorted(parts, key=lambda part: part.part_number)
    if not ordered or [part.part_number for part in ordered] != list(range(1, len(ordered) + 1)):
        raise InvalidInput("The parts are not 1, 2, 3 and so on, each once.", hint="Name each part that was sent.")
    found = [Digest(part.etag.strip('"')) for part in ordered]
    for digest in found:
        raw_of(digest)
    return found


def _read(content: bytes, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(content or b"{}", type=kind, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"The request is wrong: {error}.") from None


def _given(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise InvalidInput(f"Request must specify {name}.")
    return query[name]


def _base(request: Request) -> str:
    """How the client reaches the API: by the host that it named, and the protocol that it spoke to a proxy."""
    forwarded = request.headers.get("x-forwarded-proto", "")
    scheme = forwarded if forwarded in ("http", "https") else request.url.scheme
    return f"{scheme}://{request.headers['host']}/api/2.0"


def _shown(request: Request) -> dict[str, Json]:
    """The credentials that the client itself sent, for the requests that its library makes without."""
    wanted = {"Authorization": "authorization", "X-Everloop-Project": "x-everloop-project"}
    return {name: request.headers[header] for name, header in wanted.items() if header in request.headers}


def _answer(value: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), headers=headers, media_type=JSON)


def _wrong_method(method: str, allowed: str) -> Response:
    return refusal("BAD_REQUEST", f"{method} means nothing for artifacts.", 405, {"Allow": allowed})
