"""Who a token belongs to, by a platform's catalog."""

from __future__ import annotations

from everloop.app.platform import Platform
from everloop.governance import tokens
from everloop.governance.entities import Principal, Token
from everloop.server.security import Authenticate


def authenticator(platform: Platform) -> Authenticate:
    """What looks tokens up in a platform's catalog."""

    def authenticate(secret: str) -> Principal:
        return tokens.authenticate(platform.session(), secret)

    return authenticate


def has_token(platform: Platform) -> bool:
    """Whether there is a token that lets somebody in now."""
    now = platform.resources.clock.now()
    listed: list[Token] = platform.call("tokens.list", {})
    return any(token.revoked is None and (token.expires is None or token.expires > now) for token in listed)
