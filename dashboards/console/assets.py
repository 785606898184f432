"""Style, scripts and icons, served from here alone, and kept by browsers for as long as they like.

plotly.js comes with Plotly for Python, so that both are of one version; htmx lies beside the style.
"""

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

STATIC = Path(str(files("dashboards.console"))) / "static"
PLOTLY = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"

FOREVER = "public, max-age=31536000, immutable"


def path_of(name: str) -> Path:
    """Return where an asset lies."""
    return PLOTLY if name == PLOTLY.name else STATIC / name


@cache
def url(name: str) -> str:
    """Return the address of an asset, which changes with its content."""
    return f"/assets/{name}?{hashlib.sha256(path_of(name).read_bytes()).hexdigest()[:12]}"


async def asset(request: Request) -> FileResponse:
    """Answer with an asset; only what lies in the folder of assets is one."""
    name = request.path_params["name"]
    if name != PLOTLY.name and name not in {one.name for one in STATIC.iterdir()}:
        raise HTTPException(404)
    return FileResponse(path_of(name), headers={"cache-control": FOREVER})


def app() -> Starlette:
    """Return the app of all assets."""
    return Starlette(
        routes=[Route("/{name}", asset)], middleware=[Middleware(GZipMiddleware, compresslevel=6)]
    )
