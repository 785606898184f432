"""Jobs, journal and runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("document", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("commit", sa.String),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("message", sa.String),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("elapsed_s", sa.Double, nullable=False),
        sa.Column("stop_requested", sa.Boolean, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("dataset", sa.String),
        sa.Column("result", sa.String),
        sa.Column("model", sa.String),
    )
    op.create_table(
        "journal",
        sa.Column("study", sa.String, primary_key=True),
        sa.Column("trial", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("metrics", sa.String, nullable=False),
        sa.Column("verdict", sa.String, nullable=False),
        sa.Column("pruner", sa.String, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
    )
    op.create_index("journal_undelivered", "journal", ["job_id", "delivered"])
    op.create_table(
        "runs",
        sa.Column("study", sa.String, primary_key=True),
        sa.Column("trial", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("parameters", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("tag", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("run_id", sa.String),
        sa.Column("delivered", sa.String),
    )
    op.create_index("runs_job", "runs", ["job_id"])
