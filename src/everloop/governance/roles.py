"""Roles: which permissions each one gives. Later roles include the earlier ones."""

from __future__ import annotations

from collections.abc import Iterable

from everloop.governance.entities import Principal, Role
from everloop.kernel.errors import PermissionDenied

GRANTS: dict[Role, frozenset[str]] = {
    "reader": frozenset({"*:read"}),
    "contributor": frozenset({"*:read", "*:write", "*:run", "*:predict"}),
    "deployer": frozenset({"*:read", "*:write", "*:run", "*:predict", "*:deploy", "*:approve"}),
    "owner": frozenset({"*:*"}),
}


def allows(roles: Iterable[Role], permission: str) -> bool:
    """Whether one of the roles gives a permission such as `models:write`."""
    area, _, action = permission.partition(":")
    wanted = {permission, f"*:{action}", f"{area}:*", "*:*"}
    return any(wanted & GRANTS[role] for role in roles)


def require(principal: Principal, permission: str) -> None:
    """Let a principal through who has the permission.

    Raises:
        PermissionDenied: none of its roles gives it.
    """
    if not allows(principal.roles, permission):
        roles = ", ".join(principal.roles) or "no role"
        raise PermissionDenied(
            f"{principal.name} ({roles}) may not {permission}.", hint="Ask an owner for a role that may."
        )
