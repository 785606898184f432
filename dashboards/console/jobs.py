"""The first page: how every search is doing, and what it has found."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dashboards.console.launch import EXAMPLE
from dashboards.console.overview import ORDERS, Overview, overview, version
from dashboards.console.rendering import nothing_new, page
from search.jobs.listing import STATUSES
from search.service.api.context import In

router = APIRouter()

Text = Annotated[str, Query(max_length=200)]


@router.get("/")
def jobs(
    request: Request, service: In, status: Text = "", text: Text = "", order: Text = "newest"
) -> HTMLResponse:
    """Show all jobs."""
    return page(
        request,
        "jobs.html",
        **listed(overview(service.store, status, text, order)),
        seen=version(service.store),
        status=status,
        text=text,
        order=order,
        statuses=STATUSES,
        example=EXAMPLE,
        orders=ORDERS,
    )


@router.get("/jobs")
def rows(  # noqa: PLR0913 - each filters
    request: Request,
    service: In,
    status: Text = "",
    text: Text = "",
    order: Text = "newest",
    seen: Text = "",
) -> HTMLResponse:
    """Show the jobs that are wanted, unless nothing has changed since a version of the list."""
    now = version(service.store)
    if seen == now:
        return nothing_new()
    return page(
        request, "jobs_rows.html", **listed(overview(service.store, status, text, order)), seen=now,
        status=status, text=text, order=order, example=EXAMPLE,
    )  # fmt: skip


def listed(found: Overview) -> dict[str, Any]:
    """Return what the list shows."""
    return {"jobs": found.jobs, "more": found.more, "is_all": found.is_all}


@router.get("/login")
def login(request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002 - as it stands in the address
    """Ask who it is, and lead to where somebody was going, unless that is too long to be led to."""
    return page(request, "login.html", next=next if len(next) <= 500 else "/")
