"""Why a search closed early, how often a trial was tried, and since when MLflow is away."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("jobs", sa.Column("closed", sa.String))
    op.add_column("jobs", sa.Column("mlflow_away_since", sa.Double))
    op.add_column("jobs", sa.Column("mlflow_error", sa.String))
    op.add_column("runs", sa.Column("attempts", sa.Integer, nullable=False, server_default="0"))
    # What MLflow was told now names attempts and end, too.
    op.execute(
        "UPDATE runs SET delivered = delivered || '/0/' || COALESCE(CAST(ended_ms AS VARCHAR), '') "
        "WHERE delivered IS NOT NULL"
    )
