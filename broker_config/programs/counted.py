"""Amounts as people say them."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 instance``, ``1,200 instances``; with ``plural`` also ``2 entries`` and ``1 message waits``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
