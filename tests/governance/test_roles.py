"""Roles: what each lets through."""

from __future__ import annotations

import pytest

from everloop.governance.entities import Principal, Role
from everloop.governance.roles import GRANTS, allows, require
from everloop.kernel.errors import PermissionDenied

ORDER: tuple[Role, ...] = ("reader", "contributor", "deployer", "owner")


@pytest.mark.parametrize(
    ("role", "permission", "allowed"),
    [
        ("reader", "models:read", True),
        ("reader", "models:write", False),
        ("contributor", "models:write", True),
        ("contributor", "models:deploy", False),
        ("deployer", "models:deploy", True),
        ("deployer", "models:approve", True),
        ("deployer", "models:delete", False),
        ("deployer", "tokens:manage", False),
        ("owner", "tokens:manage", True),
        ("owner", "anything:else", True),
    ],
)
def test_a_role_gives_what_it_says(role: Role, permission: str, allowed: bool) -> None:
    assert allows([role], permission) is allowed


@pytest.mark.parametrize("permission", ["models:read", "models:write", "models:deploy", "runs:run", "tokens:manage"])
def test_a_later_role_gives_all_that_an_earlier_one_does(permission: str) -> None:
    allowed = [allows([role], permission) for role in ORDER]
    assert allowed == sorted(allowed)


def test_every_role_is_known() -> None:
    assert set(GRANTS) == set(ORDER)


def test_several_roles_add_up() -> None:
    assert allows(["reader", "deployer"], "models:deploy")


def test_no_role_allows_nothing() -> None:
    assert not allows([], "models:read")


def test_a_refusal_names_who_and_what() -> None:
    with pytest.raises(PermissionDenied, match=r"ann \(reader\) may not models:write"):
        require(Principal("ann", ("reader",)), "models:write")


def test_a_principal_without_roles_is_told_so() -> None:
    with pytest.raises(PermissionDenied, match="no role"):
        require(Principal("ann", ()), "models:read")
