"""Benchmarks: one file a question. Run one with ``python -m benchmarks.NAME``."""
