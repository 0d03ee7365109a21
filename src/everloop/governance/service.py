"""What one can do with governance: give roles, make and revoke tokens."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import delete, select, update

from everloop.catalog.session import Session
from everloop.governance.entities import (
    NewToken,
    Principal,
    PrincipalGranted,
    PrincipalRevoked,
    Role,
    Token,
    TokenCreated,
    TokenRevoked,
)
from everloop.governance.projects import projects
from everloop.governance.tables import principals as principals_table
from everloop.governance.tables import tokens as tokens_table
from everloop.governance.tokens import authenticate, hash_of, new_secret
from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase


@usecase("governance.projects", permission="governance:read", route="GET /projects")
def list_projects(session: Session) -> list[str]:
    """The names of the projects that anything was kept in, and of this one."""
    return projects(session)


@usecase("governance.grant", permission="governance:manage", route="PUT /principals/{principal}")
def grant(session: Session, principal: Name, roles: tuple[Role, ...]) -> Principal:
    """Give a principal exactly these roles, in every project; it is made if it is new."""
    if not roles:
        raise InvalidInput(f"No role was given for {principal}.", hint="everloop governance revoke takes them away.")
    granted = Principal(principal, tuple(sorted(set(roles))))
    session.execute(delete(principals_table).where(principals_table.c.name == principal))
    session.insert(principals_table, granted)
    session.emit(PrincipalGranted(subject=session.urn("principal", principal), roles=granted.roles))
    authenticate.forget()
    return granted


@usecase("governance.principals", permission="governance:read", route="GET /principals")
def principals(session: Session) -> list[Principal]:
    """Everybody who was given a role, by name."""
    return session.all(Principal, select(principals_table).order_by(principals_table.c.name))


@usecase("governance.revoke", permission="governance:manage", route="DELETE /principals/{principal}")
def revoke(session: Session, principal: Name) -> Principal:
    """Take a principal's roles and tokens away, and give what it was."""
    known = _principal(session, principal)
    for token in list_tokens(session, principal):
        if token.revoked is None:
            revoke_token(session, token.id)
    session.execute(delete(principals_table).where(principals_table.c.name == principal))
    session.emit(PrincipalRevoked(subject=session.urn("principal", principal)))
    authenticate.forget()
    return known


@usecase("tokens.create", permission="tokens:manage", route="POST /tokens", secret=True)
def create_token(session: Session, principal: Name, expires_in: str = "90d") -> NewToken:
    """Make a token for a principal. Its secret is in the answer and nowhere else; `expires_in` "" means never."""
    _principal(session, principal)
    now = session.clock.now()
    expires = now + _positive(expires_in) if expires_in else None
    token = Token(session.new_id(), principal, now, expires)
    secret = new_secret()
    session.insert(tokens_table, msgspec.structs.asdict(token) | {"hash": hash_of(secret)})
    session.emit(TokenCreated(subject=session.urn("token", token.id), principal=principal, expires=expires))
    return NewToken(secret, token)


@usecase("tokens.list", permission="tokens:manage", route="GET /tokens")
def list_tokens(session: Session, principal: str = "") -> list[Token]:
    """The tokens (of one principal, if named), oldest first."""
    query = select(tokens_table).order_by(tokens_table.c.created, tokens_table.c.id)
    return session.all(Token, query.where(tokens_table.c.principal == principal) if principal else query)


@usecase("tokens.revoke", permission="tokens:manage", route="DELETE /tokens/{id}")
def revoke_token(session: Session, id: str) -> Token:
    """Let a token count no more: within a second everywhere. Doing it again changes nothing."""
    query = select(tokens_table).where(tokens_table.c.id == id)
    known = session.one(Token, query, f"There is no token {id!r}.", hint="everloop tokens list shows what there is.")
    if known.revoked is not None:
        return known
    revoked = msgspec.structs.replace(known, revoked=session.clock.now())
    session.execute(update(tokens_table).where(tokens_table.c.id == id).values(revoked=revoked.revoked))
    session.emit(TokenRevoked(subject=session.urn("token", id), principal=known.principal))
    authenticate.forget()
    return revoked


def _principal(session: Session, name: str) -> Principal:
    query = select(principals_table).where(principals_table.c.name == name)
    return session.one(
        Principal, query, f"There is no principal {name!r}.", hint=f"Make it with everloop governance grant {name}."
    )


def _positive(text: str) -> timedelta:
    span = duration(text)
    if span <= timedelta():
        raise InvalidInput(f"A token that expires in {text} is of no use.", hint="Write a span such as 90d.")
    return span
