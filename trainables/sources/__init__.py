"""Where sequences come from: named data sets, and people's own files."""
