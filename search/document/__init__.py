"""The job document: what it may hold, and every rule that it is checked by."""
