"""Jobs of an installation: submitted, listed, found, and their data."""
