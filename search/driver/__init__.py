"""The process that runs one job: Ray, its workers, what people see of it meanwhile."""
