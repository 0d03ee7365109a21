"""Who may do what: principals, tokens, and the settings of this platform."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.app.settings import Setting
from everloop.governance.entities import Principal, Role, Token
from everloop.governance.roles import GRANTS, allows
from everloop.server.pages.site import Page, Visit


class AccessPage(msgspec.Struct, frozen=True):
    """Principals, tokens (for those who may see them), roles and settings."""

    me: Principal
    principals: Sequence[Principal]
    may_see_tokens: bool
    tokens: Sequence[Token]
    roles: dict[Role, Sequence[str]]
    settings: Sequence[Setting]


def access(visit: Visit) -> Page:
    """Principals and tokens."""
    may = allows(visit.principal.roles, "tokens:manage")
    it = AccessPage(
        me=visit.principal,
        principals=visit.ask("governance.principals"),
        may_see_tokens=may,
        tokens=visit.ask("tokens.list") if may else [],
        roles={role: sorted(grants) for role, grants in GRANTS.items()},
        settings=visit.settings() if may else [],
    )
    return Page("access.html", "Access", it)
