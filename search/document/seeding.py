"""Seeds derived from what they are for, so that no order of events can change them."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Return a seed in [0, 2**32) that depends on every part and on their order."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big")
