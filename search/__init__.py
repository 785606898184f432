"""What one job does: the study, the engine, delivery to MLflow, the champion, the commands."""
