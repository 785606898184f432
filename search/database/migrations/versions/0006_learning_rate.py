"""Jobs that say nothing of the learning rate keep the one that was the default."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BEFORE = {"learning_rate": 0.001}


def upgrade() -> None:
    """Write it into their documents."""
    jobs = sa.table("jobs", sa.column("id"), sa.column("document"))
    connection = op.get_bind()
    for job_id, document in connection.execute(sa.select(jobs.c.id, jobs.c.document)).all():
        kept = sa.update(jobs).where(jobs.c.id == job_id).values(document=keeping(document))
        connection.execute(kept)


def keeping(text: str) -> str:
    """Return a document whose training says the rate; or its baselines, if all else is searched."""
    document: dict[str, Any] = json.loads(text)
    searched = document["space"].get("learning_rate")
    if searched is None or searched.get("when"):
        document["training"] = BEFORE | document["training"]
    else:
        document["baseline"] = [BEFORE | entry for entry in document["baseline"]]
    return json.dumps(document, sort_keys=True)
