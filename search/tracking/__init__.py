"""MLflow, as a job writes to it, and the process that delivers the journal."""
