"""Routes about files: a job's champion and pictures, and data files that people upload."""

import hashlib
import json
import re
import secrets
from pathlib import Path
from typing import Annotated, Any

import optuna
from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from search.api.context import In, Service, found, needs
from search.api.errors import DOCUMENTED, ApiError
from search.api.models import Deleted, UploadedFile
from search.fetching import FILES, champion_files
from search.figures import pictures
from search.home import Home
from search.spec import JobSpec
from search.storage import open_storage

router = APIRouter(prefix="/api/v1", responses=DOCUMENTED)

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
"""Of an uploaded file: nothing that leads out of its folder."""

FileName = Annotated[str, InPath(pattern=f"^{NAME}$", max_length=128)]


@router.get("/jobs/{job}/artifacts", tags=["jobs"])
def artifacts(job: str, service: In) -> list[str]:
    """Return the names of the files of a job's best model."""
    champion_files(service.home, found(service, job))
    return list(FILES)


@router.get("/jobs/{job}/artifacts/{name}", response_class=FileResponse, tags=["jobs"])
def artifact(job: str, name: str, service: In) -> FileResponse:
    """Return one file of a job's best model."""
    folder = champion_files(service.home, found(service, job))
    if name not in FILES:
        raise ApiError(404, "not-found", f"a model has the files {', '.join(FILES)}")
    return FileResponse(folder / name, filename=name, media_type="application/octet-stream")


@router.get("/jobs/{job}/figures/{name}", tags=["jobs"])
def figure(job: str, name: str, service: In) -> dict[str, Any]:
    """Return a picture of a job's search as Plotly's JSON: `history` or `curves`."""
    return drawn(service, job, name)


def drawn(service: Service, key: str, name: str) -> dict[str, Any]:
    """Return a picture of a job.

    Raises:
        ApiError: there is no such picture, or nothing to draw yet.
    """
    job = found(service, key)
    storage = open_storage(service.store)
    try:
        study = optuna.load_study(study_name=job.id, storage=storage)
        drawn_all = pictures(study, JobSpec.from_json(job.document).objective.metric)
    except KeyError:
        raise ApiError(409, "not-possible", f"job {job.id} has no trials yet") from None
    finally:
        storage.engine.dispose()
    if name not in drawn_all:
        raise ApiError(404, "not-found", f"the figures are {', '.join(drawn_all)}")
    shown: dict[str, Any] = json.loads(drawn_all[name].to_json())
    return shown


@router.get("/data", response_model=list[UploadedFile], tags=["data"])
def uploads(service: In) -> list[UploadedFile]:
    """List the data files that were uploaded."""
    folder = uploads_of(service.home)
    paths = sorted(folder.iterdir()) if folder.exists() else []
    return [described(path) for path in paths if re.fullmatch(NAME, path.name) and is_whole(path)]


@router.put(
    "/data/{name}",
    status_code=201,
    response_model=UploadedFile,
    dependencies=[needs("launch")],
    tags=["data"],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def upload(name: FileName, service: In, request: Request) -> UploadedFile:
    """Upload a data file as the body of the request; the name must be new."""
    kind = request.headers.get("content-type", "application/octet-stream")
    if kind.partition(";")[0].strip() != "application/octet-stream":
        raise ApiError(
            415, "unsupported-media-type", f"the body must be application/octet-stream, not {kind}"
        )
    folder = uploads_of(service.home)
    await run_in_threadpool(folder.mkdir, parents=True, exist_ok=True)
    target, partial = folder / name, folder / f".{secrets.token_hex(8)}"
    try:
        with partial.open("xb") as stream:
            async for chunk in request.stream():
                await run_in_threadpool(stream.write, chunk)
        # A link, which never replaces: a job may read the file that is there.
        await run_in_threadpool(target.hardlink_to, partial)
    except FileExistsError:
        raise ApiError(409, "exists", f"there is a data file {name} already") from None
    finally:
        partial.unlink(missing_ok=True)
    return await run_in_threadpool(described, target)


@router.delete("/data/{name}", response_model=Deleted, dependencies=[needs("admin")], tags=["data"])
def forget(name: FileName, service: In) -> dict[str, str]:
    """Delete a data file."""
    target = uploads_of(service.home) / name
    if not is_whole(target):
        raise ApiError(404, "not-found", f"there is no data file {name}")
    target.unlink()
    return {"deleted": name}


def uploads_of(home: Home) -> Path:
    """Return the folder of uploaded files."""
    return home.data / "uploads"


def is_whole(path: Path) -> bool:
    """Whether a path is a file of ours: a link could lead anywhere."""
    return path.is_file() and not path.is_symlink()


def described(path: Path) -> UploadedFile:
    """Return what is known of an uploaded file."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    stat = path.stat()
    return UploadedFile(
        name=path.name, size_bytes=stat.st_size, sha256=sha256, modified_at=stat.st_mtime
    )
