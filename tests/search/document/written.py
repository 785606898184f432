"""Documents of jobs, written in few words."""

DATA = "data: {source: digits}"


def job(*lines: str) -> str:
    return "\n".join([DATA, *lines])


def space(entry: str) -> str:
    return job("space:", *(f"  {line}" for line in entry.split("; ")))
