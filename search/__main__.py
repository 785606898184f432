"""``python -m search`` is ``gatetune``."""

from search.commands.cli import main

main()
