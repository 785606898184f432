"""``python -m search`` is ``gatetune``."""

from search.cli import main

main()
