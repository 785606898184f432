"""Documents for a person's own file: what it holds, and what would be searched."""
