"""The study of a job: what is tried, what is pruned, what a trial costs, which one leads."""
