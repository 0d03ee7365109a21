"""Which project a request is about: the one that it names, or the one that its browser has chosen."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from everloop.kernel.errors import InvalidInput, PermissionDenied
from everloop.kernel.ids import NAME_PATTERN

HEADER, COOKIE = "x-everloop-project", "everloop_project"


def project_of(request: Request) -> str:
    """The project that a request names by its header, or its browser by a cookie; empty for that of the settings."""
    chosen = request.cookies.get(COOKIE, "")
    return request.headers.get(HEADER, "") or (chosen if re.fullmatch(NAME_PATTERN, chosen) else "")


def choose(request: Request) -> Response:
    """Have a browser ask for another project from now on; it begins at the overview.

    Raises:
        InvalidInput: no project can have that name.
        PermissionDenied: a page of somebody else's leads here, and what is done next would be done in its project.
    """
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise PermissionDenied("Another site cannot choose the project.", hint="Choose it in the header of a page.")
    name = request.query_params.get("name", "")
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise InvalidInput(f"{name[:80]!r} is no name of a project.", hint="Use letters, digits, dots, dashes and _.")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, name, max_age=400 * 86_400, httponly=True, samesite="strict")
    return answer
