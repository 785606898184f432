"""What the service is told by its environment."""

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from search.common.home import SettingsError
from search.common.limits import count
from search.common.texts import is_web_address

LOOPBACK = ("localhost", "127.0.0.1", "::1")

MEGABYTE = 2**20


@dataclass(frozen=True)
class Settings:
    """How the service listens, whom it believes, and what it takes."""

    host: str = "127.0.0.1"
    port: int = 8765
    hosts: tuple[str, ...] = LOOPBACK
    """Names by which it may be called: the Host header of a request is one of them."""
    body_bytes: int = MEGABYTE
    upload_bytes: int = 1024 * MEGABYTE
    uploads_bytes: int = 10 * 1024 * MEGABYTE
    """Of all uploaded files together."""
    trials_a_job: int = 100_000
    requests_a_minute: int = 6000
    """Of one owner, and of one address that has no token yet."""
    refusals_a_minute: int = 30
    """Of one address: wrong tokens."""
    streams: int = 200
    """Of one owner at once."""
    secure: bool = False
    """Whether people come through HTTPS, by a proxy: cookies are sent nowhere else."""
    mlflow: str | None = None
    """Where people's browsers reach MLflow's pages; None where nobody has said it."""

    @classmethod
    def from_environment(cls, host: str, port: int) -> "Settings":
        """Read the settings.

        Raises:
            SettingsError: one cannot be used.
        """
        named = [name.strip() for name in os.environ.get("GATETUNE_HOSTS", "").split(",")]
        hosts = (*LOOPBACK, host, socket.gethostname(), *filter(None, named))
        secure = os.environ.get("GATETUNE_SECURE") or "no"
        if secure not in {"yes", "no"}:
            raise SettingsError(f"GATETUNE_SECURE must be yes or no, but got {secure!r}")
        upload = count("GATETUNE_MAX_UPLOAD_MB", 1024) or 1024
        uploads = count("GATETUNE_MAX_DATA_MB", 10 * 1024) or 10 * 1024
        return cls(
            host=host,
            port=port,
            hosts=tuple(dict.fromkeys(name.lower() for name in hosts)),
            upload_bytes=upload * MEGABYTE,
            uploads_bytes=uploads * MEGABYTE,
            trials_a_job=count("GATETUNE_MAX_TRIALS_A_JOB", cls.trials_a_job) or cls.trials_a_job,
            requests_a_minute=count("GATETUNE_REQUESTS_A_MINUTE", cls.requests_a_minute)
            or cls.requests_a_minute,
            secure=secure == "yes",
            mlflow=public_address(os.environ.get("GATETUNE_MLFLOW_URL")),
        )

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it, so that nobody needs a token.

        A proxy reaches it from this machine, too, for people who are elsewhere.
        """
        return self.host in LOOPBACK and not self.secure


def public_address(url: str | None) -> str | None:
    """Return the address of pages that links lead to, without a slash at its end.

    Raises:
        SettingsError: it is none that a browser can open, or holds a password.
    """
    if not url:
        return None
    if not is_web_address(url) or urlsplit(url).username is not None:
        raise SettingsError(
            "GATETUNE_MLFLOW_URL must be an address such as http://mlflow.example:5000, without a "
            "password"
        )
    return url.rstrip("/")
