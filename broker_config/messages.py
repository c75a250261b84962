"""What crosses from the control side to an agent: the work order, and the signed envelope around it.

The *work order* says what to run and is the same for all targets of an invocation. The *envelope* names the
invocation, the firing, the work order's digest and an expiry, and carries one MAC per instance, made with that
instance's key over its id and these very bytes. The Celery message itself is only a hint that a row waits.
"""

import msgspec

from .untrusted_input import UntrustedDecoder

#: Version of the calling convention; an agent refuses a newer one with ClientNeedUpgrade.
WIRE_VERSION = 1
#: An envelope outlives its delivery deadline by this much: the deadline is judged by Redis' clock, the expiry by the
#: agent's.
EXPIRY_MARGIN_MS = 60_000
RUN_COMMAND_TASK = "cloud_assistant.run_command"


class WorkOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="command", tag_field="kind"):
    """A script to run."""

    v: int = WIRE_VERSION
    command_id: str
    command_name: str = ""
    type: str
    content: bytes
    timeout_seconds: int
    launcher: str = ""
    working_directory: str = ""
    username: str = ""
    parameters: dict[str, str] = {}
    #: Resolve ``{{ACS::…}}`` on the instance.
    built_ins: bool = False
    termination_mode: str = ""
    grace_seconds: float = 0.0
    container_id: str = ""
    container_name: str = ""
    #: Check everything, run nothing.
    dry_run: bool = False
    region_id: str = ""
    secret_names: tuple[str, ...] = ()


class FileOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="file", tag_field="kind"):
    """A file to write."""

    v: int = WIRE_VERSION
    name: str
    target_directory: str
    content: bytes
    owner: str
    group: str
    mode: str
    overwrite: bool
    timeout_seconds: int


Order = WorkOrder | FileOrder


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a producer signs."""

    v: int = WIRE_VERSION
    invoke_id: str
    firing_ms: int
    attempt: int
    #: SHA-256 of the work order's bytes, hexadecimal.
    digest: str
    #: Names the payload key; "" when the work order travels in the row.
    payload_token: str = ""
    created_ms: int
    expires_ms: int
    nonce: str


class StopMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A control message: end this execution."""

    v: int = WIRE_VERSION
    stop: str


_order_decoder: UntrustedDecoder[Order] = UntrustedDecoder(msgspec.json.Decoder(Order))
_envelope_decoder = UntrustedDecoder(msgspec.json.Decoder(Envelope))
_stop_decoder = UntrustedDecoder(msgspec.json.Decoder(StopMessage))


def encode(message: Order | Envelope | StopMessage) -> bytes:
    """Write a message as JSON."""
    return msgspec.json.encode(message)


def decode_order(data: bytes) -> Order:
    """Read a work order; raises ``msgspec.MsgspecError`` for anything else."""
    return _order_decoder.decode(data)


def decode_envelope(data: bytes) -> Envelope:
    """Read an envelope; raises ``msgspec.MsgspecError`` for anything else."""
    return _envelope_decoder.decode(data)


def decode_stop(data: bytes) -> StopMessage:
    """Read a control message; raises ``msgspec.MsgspecError`` for anything else."""
    return _stop_decoder.decode(data)
