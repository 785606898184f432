"""Routes about tokens, for admins alone."""

from typing import Any

from fastapi import APIRouter

from search.service import tokens
from search.service.api.context import BEARER, In, needs
from search.service.api.errors import DOCUMENTED, ApiError
from search.service.api.models import NewToken, TokenRequest, TokenRow

router = APIRouter(
    prefix="/api/v1/tokens",
    tags=["tokens"],
    dependencies=[BEARER, needs("admin")],
    responses=DOCUMENTED,
)


@router.get("", response_model=list[TokenRow])
def listed(service: In) -> list[dict[str, Any]]:
    """List the tokens, oldest first; their secrets are kept nowhere."""
    return tokens.listed(service.store)


@router.post("", status_code=201, response_model=NewToken)
def create(body: TokenRequest, service: In) -> NewToken:
    """Make a token; its secret is told this once."""
    try:
        made, secret = tokens.create(service.store, body.owner, body.role)
    except tokens.TokenError as error:
        raise ApiError(422, "invalid-request", str(error)) from error
    return NewToken(id=made.id, owner=made.owner, role=body.role, token=secret)


@router.delete("/{token_id}", response_model=TokenRow)
def revoke(token_id: str, service: In) -> dict[str, Any]:
    """Make a token useless from now on."""
    try:
        revoked = tokens.revoke(service.store, token_id)
    except tokens.TokenError as error:
        raise ApiError(404, "not-found", str(error)) from error
    return next(one for one in tokens.listed(service.store) if one["id"] == revoked.id)
