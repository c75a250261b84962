"""The one percent-encoding that both signatures are computed over, and its decoding from the wire."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

_RESERVED = re.compile(rb"[^A-Za-z0-9\-_.~]")
_ENCODED = {bytes([code]): b"%%%02X" % code for code in range(256)}
#: Cut at each reserved byte, a text takes a hundred times its room; so it is done with so much of it at a time.
_PIECE_BYTES = 16 * 1024


def encoded(text: str) -> str:
    """Percent-encode everything but letters, digits and ``-_.~`` (RFC 3986), in UTF-8 with upper-case hex.

    Clients leave ``*:/'()!`` raw or encoded, and a space as ``+`` or ``%20``, at will: what is signed is always this.
    """
    # A tenth of what urllib's quote() takes, which looks at every byte in Python: a script may have 100 KB of them,
    # and a signature encodes them twice.
    data = text.encode()
    pieces = [
        _RESERVED.sub(lambda found: _ENCODED[found[0]], data[start : start + _PIECE_BYTES])
        for start in range(0, len(data), _PIECE_BYTES)
    ]
    return b"".join(pieces).decode("ascii")


def canonical_query(parameters: Mapping[str, str], leave_out: Iterable[str] = ()) -> str:
    """Join the sorted, encoded parameters with ``&``. Empty values stay in (``SignatureType=``)."""
    left_out = frozenset(leave_out)
    return "&".join(
        f"{encoded(name)}={encoded(value)}" for name, value in sorted(parameters.items()) if name not in left_out
    )


def decoded_pairs(raw: bytes) -> dict[str, str]:
    """Decode ``name=value&…``: ``+`` is a space, blank values are kept, the last of equal names wins.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8 (nothing that was signed as text can look like that).
    """
    return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, encoding="utf-8", errors="strict"))
