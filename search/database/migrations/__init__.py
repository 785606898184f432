"""Alembic migrations of Gatetune's own tables; Optuna migrates its own."""
