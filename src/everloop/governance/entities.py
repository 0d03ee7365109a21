"""What governance is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Role = Literal["reader", "contributor", "deployer", "owner"]


class Principal(msgspec.Struct, frozen=True):
    """Somebody or something that acts, with the roles it has in every project of this platform."""

    name: Name
    roles: tuple[Role, ...]


class Token(msgspec.Struct, frozen=True):
    """A token as it is listed: its secret is shown once, when it is made, and kept only as a hash."""

    id: str
    principal: Name
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None


class NewToken(msgspec.Struct, frozen=True):
    """A token that was just made. `secret` is shown this once and kept nowhere."""

    secret: str
    token: Token


class PrincipalGranted(Event, frozen=True, kw_only=True, tag="governance.granted"):
    """A principal has these roles now."""

    roles: tuple[Role, ...]


class PrincipalRevoked(Event, frozen=True, kw_only=True, tag="governance.revoked"):
    """A principal lost its roles and its tokens."""


class TokenCreated(Event, frozen=True, kw_only=True, tag="tokens.created"):
    """A token was made."""

    principal: str
    expires: datetime | None


class TokenRevoked(Event, frozen=True, kw_only=True, tag="tokens.revoked"):
    """A token counts no more."""

    principal: str
