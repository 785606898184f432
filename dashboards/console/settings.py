"""Who one is here, the tokens of others, and where everything is."""

from importlib.metadata import version

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboards.console.rendering import page
from search.service import tokens
from search.service.api.context import Caller, In
from search.service.tokens import ROLES

router = APIRouter(prefix="/settings")


@router.get("")
def settings(request: Request, service: In, caller: Caller) -> HTMLResponse:
    """Show the page; tokens are for admins."""
    return page(
        request,
        "settings.html",
        caller=caller,
        tokens=tokens.listed(service.store) if caller.may("admin") else None,
        roles=ROLES,
        versions=[
            (name, version(name)) for name in ("gatetune", "optuna", "ray", "mlflow", "torch")
        ],
        home=str(service.home.path) if caller.may("admin") else None,
    )
