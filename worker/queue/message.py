"""A message as kombu's Redis transport stores it: JSON of a body, headers and properties."""

import binascii
from typing import Any

import msgspec

from ...broker_config.untrusted_input import UntrustedDecoder


class MessageUnreadable(ValueError):
    """It is no message of a Celery queue, or one in a form that no producer of ours uses."""


class _Properties(msgspec.Struct):
    body_encoding: str | None = None


class _Stored(msgspec.Struct):
    headers: dict[str, Any]
    properties: _Properties
    body: str
    content_type: str | None = msgspec.field(default=None, name="content-type")


_decoder = UntrustedDecoder(msgspec.json.Decoder(_Stored))


class QueuedMessage(msgspec.Struct, frozen=True):
    """What can be said of a message before anybody knows its task."""

    body: bytes
    headers: dict[str, Any]
    content_type: str | None


def read_message(stored: bytes) -> QueuedMessage:
    """Read a message.

    Raises:
        MessageUnreadable: it cannot be read; the text says why and quotes nothing of it.
    """
    try:
        read = _decoder.decode(stored)
        body = _body(read)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise MessageUnreadable(str(exc)) from exc
    if "compression" in read.headers:
        # Nobody knows how large a body is before it is unpacked; ours have a few hundred bytes.
        raise MessageUnreadable("its body is compressed")
    return QueuedMessage(body, read.headers, read.content_type)


def _body(read: _Stored) -> bytes:
    encoding = read.properties.body_encoding
    if encoding is None:
        return read.body.encode()
    if encoding == "base64":
        return binascii.a2b_base64(read.body, strict_mode=True)
    raise MessageUnreadable("the encoding of its body is not known")
