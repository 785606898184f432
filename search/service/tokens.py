"""Tokens: secrets by which their owners use the service over a network."""

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import select

from search.common.faults import nearest
from search.database.store import Store, is_storable
from search.database.tables import Token

Role = Literal["view", "launch", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a token allows; each role may do what those before it may."""

PREFIX = "gt"


class TokenError(ValueError):
    """A token cannot be made or found; the message says why."""


@dataclass(frozen=True)
class Principal:
    """Who makes a request, and what that one may do."""

    owner: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this role includes another."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def owns(self, owner: str) -> bool:
        """Whether what belongs to ``owner`` may be changed."""
        return self.may("admin") or (self.may("launch") and self.owner == owner)


def check(owner: str, role: str) -> None:
    """Make sure that a token can be made.

    Raises:
        TokenError: there is no such role, or the owner's name cannot stand in a log.
    """
    if role not in ROLES:
        guess = nearest(role, ROLES)
        hint = f" (did you mean {guess}?)" if guess else ""
        raise TokenError(f"role must be one of {', '.join(ROLES)}, but got {role!r}{hint}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", owner):
        raise TokenError(f"owner must be 1 to 64 of letters, digits and . _ @ -, but got {owner!r}")


def create(store: Store, owner: str, role: str) -> tuple[Token, str]:
    """Make a token and return it with its secret text, which cannot be read again later.

    Raises:
        TokenError: as `check`.
    """
    check(owner, role)
    token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    token = Token(
        id=token_id, owner=owner, role=role, digest=digest(secret), created_at=time.time()
    )
    with store.session() as session:
        session.add(token)
    return token, f"{PREFIX}_{token_id}_{secret}"


def digest(secret: str) -> str:
    """Return what is kept of a secret: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verify(store: Store, text: str) -> Principal | None:
    """Return whose token a text is; None where it is none, or a revoked one."""
    parts = re.fullmatch(rf"{PREFIX}_([0-9a-f]+)_([A-Za-z0-9_-]+)", text)
    if parts is None:
        return None
    with store.session() as session:
        token = session.get(Token, parts[1])
    if token is None or token.revoked_at is not None:
        return None
    if not hmac.compare_digest(token.digest, digest(parts[2])):
        return None
    return Principal(token.owner, next(role for role in ROLES if role == token.role))


def revoke(store: Store, token_id: str) -> Token:
    """Make a token useless from now on.

    Raises:
        TokenError: there is no such token.
    """
    with store.session() as session:
        token = session.get(Token, token_id) if is_storable(token_id) else None
        if token is None:
            raise TokenError(f"no token has the id {token_id!r}; `gatetune token list` has all")
        token.revoked_at = token.revoked_at or time.time()
        return token


def listed(store: Store) -> list[dict[str, Any]]:
    """Return every token but its secret, oldest first."""
    with store.session() as session:
        tokens = session.scalars(select(Token).order_by(Token.created_at)).all()
    return [
        {
            "id": token.id,
            "owner": token.owner,
            "role": token.role,
            "created_at": token.created_at,
            "revoked_at": token.revoked_at,
        }
        for token in tokens
    ]


def any_valid(store: Store) -> bool:
    """Whether anybody could use the service over a network."""
    with store.session() as session:
        return (
            session.scalar(select(Token.id).where(Token.revoked_at.is_(None)).limit(1)) is not None
        )
