"""Routes about data files that people upload."""

import errno
import hashlib
import re
import secrets
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from starlette.concurrency import run_in_threadpool

from search.service.api.context import BEARER, In, Service, needs
from search.service.api.errors import DOCUMENTED, ApiError, ErrorBody
from search.service.api.models import Deleted, UploadedFile

router = APIRouter(prefix="/api/v1", tags=["data"], dependencies=[BEARER], responses=DOCUMENTED)

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
"""Of an uploaded file: nothing that leads out of its folder."""

CHECK_BYTES = 2**24
"""After so many bytes of an upload it is seen to that there is room."""

ABANDONED_S = 3600.0
"""An upload that has not grown for so long is no upload any more."""

FileName = Annotated[str, InPath(pattern=f"^{NAME}$", max_length=128)]


@router.get("/data", response_model=list[UploadedFile])
def uploads(service: In) -> list[UploadedFile]:
    """List the data files that were uploaded."""
    listed = []
    for path in uploaded(service):
        with suppress(FileNotFoundError):  # it was deleted meanwhile
            listed.append(described(path))
    return listed


@router.put(
    "/data/{name}",
    status_code=201,
    response_model=UploadedFile,
    responses={507: {"model": ErrorBody, "description": "there is no room for it"}},
    dependencies=[needs("launch")],
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
    folder, most = service.home.places.uploads, service.settings.uploads_bytes
    await run_in_threadpool(folder.mkdir, parents=True, exist_ok=True)
    target, partial = folder / name, folder / f".{secrets.token_hex(8)}"
    try:
        with partial.open("xb") as stream:
            unchecked = 0
            async for chunk in request.stream():
                await run_in_threadpool(stream.write, chunk)
                unchecked += len(chunk)
                if unchecked >= CHECK_BYTES:
                    unchecked = 0
                    await run_in_threadpool(check_room, folder, most)
        await run_in_threadpool(check_room, folder, most)
        await run_in_threadpool(publish, partial, target)
    except FileExistsError:
        raise ApiError(409, "exists", f"there is a data file {name} already") from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ApiError(507, "no-room", "the disk of the data files is full") from None
    finally:
        partial.unlink(missing_ok=True)
    return await run_in_threadpool(described, target)


@router.delete("/data/{name}", response_model=Deleted, dependencies=[needs("admin")])
def forget(name: FileName, service: In) -> dict[str, str]:
    """Delete a data file."""
    target = service.home.places.uploads / name
    if not is_whole(target):
        raise ApiError(404, "not-found", f"there is no data file {name}")
    target.unlink(missing_ok=True)  # another request may have deleted it just now
    return {"deleted": name}


def publish(partial: Path, target: Path) -> None:
    """Give a whole file its name, and never that of another: a job may read the one that is there.

    Raises:
        FileExistsError: there is one.
    """
    try:
        target.hardlink_to(partial)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}:
            raise
        # A shared folder without links, such as SMB's: the name is taken first, then replaced.
        target.touch(exist_ok=False)
        try:
            partial.replace(target)
        except OSError:
            target.unlink(missing_ok=True)
            raise


def check_room(folder: Path, most: int) -> None:
    """Refuse an upload for which there is no room, what is on its way included.

    Raises:
        ApiError: the files take more bytes than all of them may.
    """
    taken = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # it was deleted meanwhile
            stat = path.lstat()
            taken += stat.st_size
            is_old = time.time() - stat.st_mtime > ABANDONED_S
            if path.name.startswith(".") and is_old and is_whole(path):
                path.unlink()  # its service was killed
    if taken > most:
        raise ApiError(
            507, "no-room", f"all data files may take {most} bytes; delete some to make room"
        )


def uploaded(service: Service) -> list[Path]:
    """Return the data files that were uploaded, by name."""
    folder = service.home.places.uploads
    paths = sorted(folder.iterdir()) if folder.exists() else []
    return [path for path in paths if re.fullmatch(NAME, path.name) and is_whole(path)]


def is_whole(path: Path) -> bool:
    """Whether a path is a file of ours: a link could lead anywhere."""
    return path.is_file() and not path.is_symlink()


def described(path: Path) -> UploadedFile:
    """Return what is known of an uploaded file."""
    stat = path.stat()
    return UploadedFile(
        name=path.name,
        size_bytes=stat.st_size,
        sha256=sha256_of(path, stat.st_ino, stat.st_mtime_ns),
        modified_at=stat.st_mtime,
    )


@lru_cache(maxsize=10_000)
def sha256_of(path: Path, inode: int, modified_ns: int) -> str:  # noqa: ARG001 - they name the content
    """Return the SHA-256 of a file, which is read once: lists of gigabytes are asked for often."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
