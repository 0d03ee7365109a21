"""What governance is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

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
