"""The winner: compared, exported, checked, registered, promoted, fetched, asked."""
