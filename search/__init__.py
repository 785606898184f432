"""What one job does: the study, the engine, delivery to MLflow, the champion, the commands."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.start import launch

__all__ = ["launch"]


def __getattr__(name: str) -> Any:
    # Imported when asked for, so that `search.spec` and the small commands stay quick to import.
    if name == "launch":
        from search.start import launch

        return launch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
