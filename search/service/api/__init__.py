"""REST: everything that the command line can do, over HTTP."""
