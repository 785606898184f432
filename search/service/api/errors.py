"""One shape for every error, whoever raised it."""

import json
import logging
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from optuna.exceptions import StorageInternalError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from search.common.faults import SpecError
from search.common.texts import without_passwords
from search.database.lease import LeaseHeldError, LeaseLostError
from search.database.store import StoreError
from search.jobs.jobs import JobNotFoundError, NoChampionError, NotPossibleError
from search.jobs.listing import CursorError

logger = logging.getLogger("gatetune.api")


class ErrorDetail(BaseModel):
    """What was wrong with a request."""

    code: str = Field(examples=["job-not-found"])
    """For programs."""
    message: str = Field(examples=["no job is called 'digts'; the newest are digits-7f3a"])
    """For people: the fault, and what would be right."""
    faults: list[str] = Field([], examples=[["budget.trials: must be at least 1, but got 0"]])
    """Each fault of a job document."""
    request_id: str | None = Field(None, examples=["5f0c1a9b2d3e4f60"])
    """Under which the log has the request."""


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


STATUS_OF: tuple[tuple[type[Exception], int, str], ...] = (
    (SpecError, 422, "invalid-document"),
    (JobNotFoundError, 404, "job-not-found"),
    (NoChampionError, 404, "not-found"),
    (NotPossibleError, 409, "not-possible"),
    (LeaseHeldError, 409, "not-possible"),
    (LeaseLostError, 409, "not-possible"),
    (CursorError, 422, "invalid-request"),
    (StoreError, 503, "database-away"),
    (StorageInternalError, 503, "database-away"),
)

CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}

NOTHING_THERE = "there is nothing at this path; /api/v1/openapi.json has those that there are"

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": description}
    for status, description in (
        (400, "the request cannot be read"),
        (401, "a valid token is needed"),
        (403, "the token's role or owner does not allow it, or another site asks"),
        (404, "there is no such thing"),
        (409, "it is not possible in this state"),
        (413, "the body is too large"),
        (415, "the body is of another type"),
        (421, "the request names another host"),
        (422, "the request or the document breaks a rule"),
        (429, "too many requests"),
        (503, "the database does not answer"),
    )
}
"""The errors that every route may answer with, for the schema."""


def answer(status: int, detail: ErrorDetail, headers: dict[str, str] | None = None) -> Response:
    """Return an error as a response, in ASCII: it may repeat a text that no encoding has."""
    body = json.dumps(ErrorBody(error=detail).model_dump())
    return Response(body, status, headers, media_type="application/json")


def request_id(request: Request) -> str | None:
    """Return under which id the log has a request."""
    found: str | None = request.scope.get("gatetune.request_id")
    return found


def install(app: FastAPI) -> None:
    """Let the app answer every error in our shape."""

    def detail(request: Request, code: str, message: str, *faults: str) -> ErrorDetail:
        return ErrorDetail(
            code=code, message=message, faults=list(faults), request_id=request_id(request)
        )

    @app.exception_handler(ApiError)
    async def of_ours(request: Request, error: ApiError) -> Response:
        return answer(error.status, detail(request, error.code, str(error)), error.headers)

    @app.exception_handler(HTTPException)
    async def of_starlette(request: Request, error: HTTPException) -> Response:
        code = CODES.get(error.status_code, "bad-request")
        unknown = error.status_code == 404 and error.detail == "Not Found"
        said = detail(request, code, NOTHING_THERE if unknown else str(error.detail))
        return answer(error.status_code, said, dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> Response:
        faults = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]
        said = detail(request, "invalid-request", "the request is not valid", *faults)
        return answer(422, said)

    for kind, status, code in STATUS_OF:

        @app.exception_handler(kind)
        async def of_domain(
            request: Request, error: Exception, status: int = status, code: str = code
        ) -> Response:
            faults = error.faults if isinstance(error, SpecError) else ()
            return answer(status, detail(request, code, str(error), *faults))


def path_of(scope: Scope) -> str:
    """Return the path of a request as a log may hold it."""
    return without_passwords(quote(scope["path"]))


def failure(scope: Scope, error: Exception) -> Response:
    """Log what should not have happened, and return how it is answered."""
    found: str | None = scope.get("gatetune.request_id")
    logger.error(
        "%s %s failed", scope["method"], path_of(scope),
        exc_info=error, extra={"request": found},
    )  # fmt: skip
    return answer(
        500,
        ErrorDetail(
            code="internal-error", message="the service failed; see its log", request_id=found
        ),
    )
