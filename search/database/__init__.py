"""The database: its tables, Optuna's storage in it, leases, and what is read of it quickly."""
