"""The answer of a job, as sentences, tables and pictures."""
