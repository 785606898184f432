"""Jobs: their documents, studies, drivers, winners, the service that runs them, the commands."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.driver.start import launch

__all__ = ["launch"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that the job document and the small commands stay quick to import.
    if name == "launch":
        from search.driver.start import launch

        return launch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
