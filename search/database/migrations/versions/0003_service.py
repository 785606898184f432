"""The queue: owners, priorities, shares of one Ray, workers; revisions to follow; tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def number(name: str) -> "sa.Column[int]":
    """Return a column of numbers that begins with 0."""
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def upgrade() -> None:
    """Add columns, indices and the table of tokens."""
    op.add_column("jobs", sa.Column("owner", sa.String, nullable=False, server_default=""))
    op.add_column(
        "jobs", sa.Column("supervised", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("jobs", sa.Column("request", sa.String))
    for name in ("priority", "failed_starts", "revision", "changed"):
        op.add_column("jobs", number(name))
    for name in ("slots", "slots_wanted", "slots_used"):
        op.add_column("jobs", sa.Column(name, sa.Integer))
    op.create_index("jobs_request", "jobs", ["request"], unique=True)
    op.create_index("jobs_created", "jobs", ["created_at"])
    op.add_column("journal", number("revision"))
    op.create_index("journal_revision", "journal", ["job_id", "revision"])
    op.add_column("runs", number("revision"))
    op.add_column("runs", sa.Column("worker", sa.String))
    op.create_table(
        "tokens",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
