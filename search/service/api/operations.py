"""Routes for those who run the service: health, readiness, numbers for Prometheus."""

import secrets
import time
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from sqlalchemy import func, select

from search.database.store import StoreError
from search.database.tables import Job, JournalRow, Run
from search.jobs.listing import STATUSES, dead_owners, has_status, number_of
from search.service.api.context import In
from search.service.api.errors import DOCUMENTED, ApiError
from search.service.api.gate import cookie_names
from search.service.api.models import Health, SessionRequest
from search.service.tokens import verify

router = APIRouter(
    tags=["operations"], responses={status: DOCUMENTED[status] for status in (421, 503)}
)

JOBS = Gauge("gatetune_jobs", "Jobs by status.", ["status"])
TRIALS = Gauge("gatetune_trials_running", "Trials that run on the shared Ray.")
WAITING = Gauge("gatetune_undelivered", "Epochs and statuses that MLflow does not have yet.")
USED = Gauge("gatetune_ray_used_ratio", "Part of the shared Ray that trials use, 1 being all.")
AWAY = Gauge("gatetune_jobs_without_mlflow", "Running jobs whose delivery finds no MLflow.")
TROUBLE = Gauge("gatetune_trouble", "Things that do not work just now; /ready names them.")


@router.get("/health", response_model=Health)
def health() -> Health:
    """Whether the process answers."""
    return Health(status="ok", version=version("gatetune"))


@router.get("/ready", response_model=Health, responses={503: {"model": Health}})
def ready(service: In, response: Response) -> Health:
    """Whether jobs can be taken and run; 503 and the reasons where they cannot."""
    trouble = list(service.trouble())
    try:
        with service.store.session() as session:
            session.execute(select(1))
    except StoreError as error:
        trouble.append(str(error))
    response.status_code = 503 if trouble else 200
    return Health(
        status="trouble" if trouble else "ok", version=version("gatetune"), trouble=trouble
    )


@router.get("/metrics", response_class=Response)
def metrics(service: In) -> Response:
    """Return numbers in Prometheus's format; they name no job and no owner."""
    now = time.time()
    with service.store.session() as session:
        dead = dead_owners(session, now)
        for status in STATUSES:
            JOBS.labels(status).set(number_of(session, status, now, dead))
        running = has_status("running", now, dead)
        used = session.scalar(select(func.sum(Job.slots_used)).where(running))
        parts = func.sum(1.0 * Job.slots_used / func.nullif(Job.slots, 0))
        part = session.scalar(select(parts).where(running))
        away = session.scalar(select(func.count(Job.mlflow_away_since)).where(running))
        epochs = session.scalar(select(func.count()).where(JournalRow.delivered.is_(False)))
        runs = session.scalar(select(func.count()).where(Run.is_undelivered))
    TRIALS.set(used or 0)
    USED.set(part or 0)
    AWAY.set(away or 0)
    WAITING.set((epochs or 0) + (runs or 0))
    TROUBLE.set(len(service.trouble()))
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


session_router = APIRouter(prefix="/api/v1", tags=["session"], responses=DOCUMENTED)


@session_router.post("/session", status_code=204)
def login(body: SessionRequest, service: In, request: Request) -> Response:
    """Exchange a token for the cookies of a page."""
    if verify(service.store, body.token) is None:
        raise ApiError(401, "token-needed", "the token is not valid; it may have been revoked")
    response = Response(status_code=204)
    secure = service.settings.secure
    # Not strict: who follows a link from a chat is logged in. Changes need the other one, too.
    session, csrf = cookie_names(request.headers)
    response.set_cookie(session, body.token, httponly=True, samesite="lax", secure=secure, path="/")
    response.set_cookie(csrf, secrets.token_urlsafe(32), samesite="strict", secure=secure, path="/")
    return response


@session_router.delete("/session", status_code=204)
def logout(request: Request) -> Response:
    """Forget the cookies of a page."""
    response = Response(status_code=204)
    for name in cookie_names(request.headers):
        response.delete_cookie(name, path="/")
    return response
