"""Jobs examined, mended and deleted."""
