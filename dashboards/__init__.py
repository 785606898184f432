"""What people see: the console as part of the service, and boards for a cluster."""
