"""What one trial does: data, model, training, export. Only ``trial.py`` knows Ray."""
