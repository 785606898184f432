"""`gatetune up`: the queue of jobs, their drivers, MLflow's server and REST."""
