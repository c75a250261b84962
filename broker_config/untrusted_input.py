"""Decode what anybody may have written.

Text that is no UTF-8 msgspec gives up with ``UnicodeDecodeError``, and what is nested without end with
``RecursionError``. Neither is an error of its own: whoever is ready for damaged bytes would let them pass, and a thread
that serves a whole fleet would end with them.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

Decoded = TypeVar("Decoded")


class UntrustedDecoder(Generic[Decoded]):
    """Decodes into one type; whatever is wrong with the bytes is a ``msgspec.MsgspecError``."""

    def __init__(self, decoder: msgspec.json.Decoder[Decoded] | msgspec.msgpack.Decoder[Decoded]) -> None:
        self._decode: Callable[[Any], Decoded] = decoder.decode

    def decode(self, data: bytes | str) -> Decoded:
        """Decode.

        Raises:
            msgspec.MsgspecError: it cannot be.
        """
        try:
            return self._decode(data)
        except UnicodeDecodeError as exc:
            raise msgspec.DecodeError("it holds text that is not UTF-8") from exc
        except RecursionError as exc:
            raise msgspec.DecodeError("it is nested too deep") from exc
