"""Do study, journal, MLflow and files of a job agree? Names what does not, and mends it."""
