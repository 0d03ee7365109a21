"""The site: routes, templates, navigation, and how an error looks to a browser."""

from __future__ import annotations

import logging
import math
import re
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from everloop.app.platform import Platform
from everloop.app.settings import Setting
from everloop.governance.entities import Principal
from everloop.governance.roles import allows
from everloop.kernel.errors import EverloopError, NotFound, PermissionDenied, Problem
from everloop.server.pages import links, media, strips, words
from everloop.server.projects import choose, project_of
from everloop.store.entities import Digest
from everloop.store.ranged import stream
from everloop.tracking.entities import Environment

if TYPE_CHECKING:
    import jinja2

FOLDER = Path(__file__).parent
FOREVER = "public, max-age=31536000, immutable"
PROJECTS_SECONDS = 10.0
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; frame-ancestors 'none'"
"""What a report may do: it brings its own styles, and nothing else."""
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
NAVIGATION = (
    ("Overview", "/"),
    ("Data", "/datasets"),
    ("Features", "/features"),
    ("Pipelines", "/pipelines"),
    ("Runs", "/runs"),
    ("Models", "/models"),
    ("Endpoints", "/endpoints"),
    ("Monitors", "/monitors"),
    ("Loops", "/loops"),
    ("Ledger", "/ledger"),
    ("Lineage", "/lineage"),
    ("Access", "/access"),
)
TABS = (
    (("Runs", "/runs"), ("Experiments", "/experiments"), ("Sweeps", "/sweeps"), ("Traces", "/traces")),
    (("Models", "/models"), ("Policies", "/policies"), ("Webhooks", "/webhooks")),
)
"""Lists that stand beside each other in an area."""
log = logging.getLogger("everloop.server")


class Visit:
    """A request for a page: what its address says, and the use cases, called as who asks."""

    def __init__(self, platform: Platform, request: Request) -> None:
        self._platform = platform
        self._request = request
        self.path: Mapping[str, str] = request.path_params
        self.query: Mapping[str, str] = request.query_params
        self.project = project_of(request) or platform.settings.values.project
        self.principal: Principal = request.state.principal

    def ask(self, usecase: str, **arguments: object) -> Any:
        """What a use case answers (of whatever type that has); numbers may come as text, as addresses hold them."""
        return self._platform.call(usecase, arguments, principal=self.principal, project=self.project, strict=False)

    def asked_or(self, default: Any, usecase: str, **arguments: object) -> Any:
        """The same, or a default where there is nothing, or who asks may not see it."""
        try:
            return self.ask(usecase, **arguments)
        except (NotFound, PermissionDenied):
            return default

    def settings(self) -> list[Setting]:
        """Every setting with its origin; passwords in URLs are not shown."""
        return [
            msgspec.structs.replace(each, value=_PASSWORD.sub(r"\1:•••@", each.value))
            for each in self._platform.settings.table()
        ]

    def each(self, name: str) -> list[str]:
        """Every value that the address gives a name."""
        return self._request.query_params.getlist(name)

    def content(self, digest: str, most: int, start: int = 0) -> bytes | None:
        """Bytes of an object; None where it is not there, or who asks may not read objects."""
        if not digest or not allows(self.principal.roles, "objects:read"):
            return None
        try:
            return b"".join(stream(self._platform.resources.store, Digest(digest), start, start + most))
        except EverloopError:
            return None

    def text(self, digest: str, most: int, start: int = 0) -> str:
        """The same as text; empty where there is none."""
        return (self.content(digest, most, start) or b"").decode(errors="replace")

    def environment(self, digest: str) -> Environment | None:
        """A run's environment out of the store; None where it has none, or who asks may not read objects."""
        if not digest or not allows(self.principal.roles, "objects:read"):
            return None
        try:
            return msgspec.json.decode(self._platform.resources.store.get(Digest(digest)), type=Environment)
        except (EverloopError, msgspec.ValidationError):
            return None

    @property
    def now(self) -> datetime:
        """What time it is on the platform's clock."""
        return self._platform.resources.clock.now()

    @property
    def tabs(self) -> list[tuple[str, str, bool]]:
        """The lists beside this one: what each is called, its path, and whether it is this one."""
        here = self._request.url.path
        beside = next((row for row in TABS if here in dict(row).values()), ())
        return [(text, href, href == here) for text, href in beside]

    @property
    def area(self) -> str:
        """The path of the area that the page belongs to."""
        first = self._request.url.path.split("/")[1]
        return _AREAS.get(first, f"/{first}")


_PASSWORD = re.compile(r"(//[^/:@\s]*):[^/@\s]+@")
_AREAS = {
    "packages": "/models",
    "executions": "/pipelines",
    "experiments": "/runs",
    "sweeps": "/runs",
    "traces": "/runs",
    "policies": "/models",
    "webhooks": "/models",
    "rollouts": "/endpoints",
    "alerts": "/monitors",
    "trace": "/lineage",
}


class Page(msgspec.Struct, frozen=True):
    """What a view gives: the template, the title, and the content that the template calls `it`."""

    template: str
    title: str
    it: object
    status: int = 200
    policy: str = ""
    """Its own content security policy, where the usual one forbids what it needs."""


View = Callable[[Visit], Page]


class Site:
    """The pages of a platform."""

    def __init__(self, platform: Platform, views: Mapping[str, View]) -> None:
        self._platform = platform
        self._views = views
        self._projects: tuple[float, list[str]] = (-math.inf, [])

    def routes(self) -> list[Route]:
        """Every page, and the files that pages need."""
        pages = [Route(path, partial(self._respond, view), methods=["GET"]) for path, view in self._views.items()]
        report = Route("/reports/{name}", self._report, methods=["GET"])
        shown = Route("/shown/{id}/{file:path}", self._shown, methods=["GET"])
        chosen = Route("/project", choose, methods=["GET"])
        return [*pages, report, shown, chosen, Route("/static/{file}", _static, methods=["GET"])]

    def problem(self, request: Request, problem: Problem, status: int) -> Response:
        """An error as a page."""
        return self._rendered(
            Visit(self._platform, request),
            Page("problem.html", _TITLES.get(status, "That did not work"), problem, status),
        )

    def _report(self, request: Request) -> Response:
        """The report of a dataset's checks, a page of its own that may not do anything but look as it does."""
        visit = Visit(self._platform, request)
        try:
            number = visit.query.get("number", "0")
            told = visit.ask("datasets.check_report", name=visit.path["name"], number=number, format="html")
        except EverloopError as error:
            return self.problem(request, error.problem, error.status)
        return Response(told, headers={"content-security-policy": REPORT_POLICY}, media_type="text/html")

    def _shown(self, request: Request) -> Response:
        """An image or a sound of a run, which may do nothing but be seen or heard."""
        visit = Visit(self._platform, request)
        try:
            file = media.at(visit.ask("runs.artifacts", id=visit.path["id"]), visit.path["file"])
            kind = media.type_of(file.path)
            content = visit.content(file.digest, media.LARGEST) if kind else None
        except EverloopError as error:
            return self.problem(request, error.problem, error.status)
        if content is None:
            return Response("There is nothing to show.", 404, media_type="text/plain")
        return Response(content, headers={"content-security-policy": media.POLICY}, media_type=kind)

    def _respond(self, view: View, request: Request) -> Response:
        visit = Visit(self._platform, request)
        try:
            return self._rendered(visit, view(visit))
        except EverloopError as error:
            return self.problem(request, error.problem, error.status)
        except Exception as error:  # noqa: BLE001 - a page without internals for the browser; the log has what happened
            identity = self._platform.session().new_id()
            log.error("error %s\n%s", identity, "".join(traceback.format_exception(error)))
            hint = f"The server's log tells more under {identity}."
            return self.problem(request, Problem("internal", "Something went wrong in the server.", hint), 500)

    def _rendered(self, visit: Visit, page: Page) -> Response:
        template = templates().get_template(page.template)
        content = template.render(
            it=page.it,
            title=page.title,
            project=visit.project,
            projects=self._known_projects(visit),
            principal=visit.principal,
            now=visit.now,
            tabs=visit.tabs,
            navigation=[(text, href, href == visit.area) for text, href in NAVIGATION],
            urn=partial(links.anchor, project=visit.project),
            place=partial(links.place, project=visit.project),
        )
        headers = {"content-security-policy": page.policy} if page.policy else None
        return Response(content, page.status, headers, media_type="text/html")

    def _known_projects(self, visit: Visit) -> list[str]:
        """The projects to choose from, looked up every few seconds; none for who may not see them."""
        if not allows(visit.principal.roles, "governance:read"):
            return []
        at, known = self._projects
        if perf_counter() - at > PROJECTS_SECONDS or visit.project not in known:
            known = visit.ask("governance.projects")
            self._projects = perf_counter(), known
        return known


_TITLES = {403: "Not for you", 404: "Nothing here", 400: "That cannot be", 500: "Our mistake"}


def wants_page(request: Request) -> bool:
    """Whether a browser asks, rather than a program."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


@cache
def templates() -> jinja2.Environment:
    """The templates, with how values are written; made for the first page that somebody looks at."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    shown = (words.moment, words.day, words.number, words.size, words.duration, words.digest, words.state)
    made.filters.update({word.__name__: word for word in shown})
    more = (words.spoken, words.percent, words.declared, words.plain, words.pretty, links.short)
    made.filters.update({word.__name__: word for word in more})
    made.globals.update(path=links.path, asset=asset, share=strips.share, box=strips.box, Markup=Markup)
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file, which changes with its content."""
    return f"/static/{name}?v={blake3((FOLDER / 'static' / name).read_bytes()).hexdigest()[:12]}"


@cache
def _content(name: str) -> bytes | None:
    known = {file.name: file for file in (FOLDER / "static").iterdir()}
    return known[name].read_bytes() if name in known else None


def _static(request: Request) -> Response:
    name = request.path_params["file"]
    content = _content(name)
    if content is None:
        return Response("There is no such file.", 404, media_type="text/plain")
    return Response(content, headers={"cache-control": FOREVER}, media_type=MEDIA.get(Path(name).suffix))
