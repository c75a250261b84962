"""Turn a stored invocation into ledger rows and one message per target.

A producer does it, and a beat completes what was cut off half-way, so it lives below both: a row that exists is left
alone, so all of it can be repeated at any point. The firings of a timed invocation are a beat's alone.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from . import keys
from .audit.chain import Send
from .errors import NotFound, Refused
from .functions.function_library import run_ahead, run_all
from .functions.invocations import create_executions_command, create_invocation_command, created
from .ids import execution_id
from .messages import EXPIRY_MARGIN_MS, Envelope, Order, encode
from .pacing import life_ms, lines
from .records import Invocation, RepeatMode
from .records import encode as encode_record
from .redis.client import Redis
from .redis.connection import Argument, Command
from .security.dispatch_seal import with_dispatch_seal
from .security.envelope_signing import EnvelopeSigner
from .security.signing import MasterKeys, digest
from .task_message import PLACEHOLDER, template

#: Targets written by one call of the function, for which other clients wait (2.5 ms). Redis holds all that a call has
#: written until its end, for the append-only file: more than a processor's cache takes makes each target dearer.
CHUNK_COUNT = 100
#: Targets whose keys are looked up together: seldom, because the question waits for the chunk that Redis is writing.
_LOOK_UP_COUNT = 40 * CHUNK_COUNT
#: A work order travels in the rows while all copies together stay below this; else it has a key of its own.
_INLINE_BYTES = 256 * 1024
#: The firing of what runs once.
_RUNS_ONCE_MS = 0
#: A payload key outlives the last moment at which a claim may read it.
_PAYLOAD_MARGIN_MS = 600_000


class Dispatched(msgspec.Struct, frozen=True):
    """How many targets got a row: waiting for their agent, or refused (queue full, quarantine)."""

    created_count: int
    refused_count: int


class Dispatcher:
    """Writes invocations and their executions; signs when it has keys."""

    def __init__(self, redis: Redis, master: MasterKeys | None, *, queue_count: int) -> None:
        self._redis = redis
        self._master = master
        #: Signs for each target, with the key that it holds.
        self.signer = EnvelopeSigner(redis, master)
        self._queue_count = queue_count

    def signing_key_id(self, instance_id: str) -> str:
        """The key that an instance held when this process dispatched to it last; ``""`` where nothing is signed."""
        return "".join(self.signer.assumed_key_ids([instance_id]))

    def create(
        self,
        invocation: Invocation,
        order: Order,
        targets: Sequence[str],
        secret_values: Mapping[str, str] | None = None,
        *,
        enter: Callable[[Send], list[Any]] | None = None,
    ) -> Dispatched:
        """Store a new invocation and, unless it is timed, dispatch it to all targets.

        Nothing is stored when a target is unknown. Secret values are encrypted to each target and stored nowhere else.
        With ``enter`` the creation and its entry in the audit are one step, and neither is there without the other.

        Raises:
            NotFound: a target is not registered, or the stored command is gone.
            Refused: the invocation id exists already.
        """
        payload = encode(order)
        timed = invocation.schedule.repeat_mode not in (RepeatMode.ONCE, RepeatMode.DRY_RUN)
        if not timed:
            invocation = with_dispatch_seal(invocation, digest(payload), targets, self._master)
        inline = not timed and _travels_in_rows(payload, len(targets))
        within_ms = invocation.deliver_within_seconds * 1000
        creation = partial(
            create_invocation_command,
            invocation.invoke_id,
            invocation.command.command_id,
            encode_record(invocation),
            targets,
            created_ms=invocation.created_ms,
            payload_token=invocation.payload_token,
            payload=b"" if inline else payload,
            payload_ttl_ms=0 if timed else life_ms(invocation, within_ms) + _PAYLOAD_MARGIN_MS,
            command_must_exist=invocation.command_is_stored,
            timed=timed,
            current_key_id=self._master.current if self._master else "",
        )
        if timed:
            _check_created(self._create(creation, [], (), enter)[0], invocation)
            return Dispatched(0, 0)
        batches_with = partial(
            self._batches,
            invocation,
            payload,
            targets,
            within_ms=within_ms,
            inline=inline,
            secret_values=secret_values,
        )
        assumed = self.signer.assumed_key_ids(targets) if len(targets) <= CHUNK_COUNT else None
        batches = batches_with(held=assumed)
        replies = self._create(creation, [next(batches)], assumed or (), enter)
        if replies[0][0] == b"other_keys":
            # Their keys were changed since this process signed for them last; nothing was written.
            batches = batches_with(held=[one.decode() for one in replies[0][1:]])
            replies = self._create(creation, [next(batches)], (), enter)
        _check_created(replies[0], invocation)
        return self._write(batches, created(replies[1]))

    def complete(
        self,
        invocation: Invocation,
        order: Order,
        targets: Sequence[str],
        *,
        within_ms: int,
        all_targets: Sequence[str] = (),
    ) -> Dispatched:
        """Dispatch a stored invocation to targets that its own dispatch, which was cut off, has not reached.

        Of one that does not run everywhere at once, ``all_targets`` are those that it was made for.
        """
        payload = encode(order)
        inline = _travels_in_rows(payload, len(targets))
        if not inline:
            self._redis.call("SET", keys.payload(invocation.payload_token), payload)
        batches = self._batches(
            invocation,
            payload,
            targets,
            all_targets=all_targets,
            within_ms=within_ms,
            inline=inline,
        )
        first = next(batches, None)
        if first is None:
            return Dispatched(0, 0)
        return self._write(batches, created(run_all(self._redis, [first])[0]))

    def _create(
        self,
        creation: Callable[..., Command],
        more: Sequence[Command],
        assumed_key_ids: Sequence[str],
        enter: Callable[[Send], list[Any]] | None,
    ) -> list[Any]:
        """Create an invocation with its entry in the audit, and run more with it; answers all replies."""
        replies: list[Any] = []

        def send(audit: list[Argument]) -> list[Any]:
            replies[:] = run_all(self._redis, [creation(audit=audit, assumed_key_ids=assumed_key_ids), *more])
            answer: list[Any] = replies[0]
            return answer

        if enter:
            enter(send)
        else:
            send([])
        return replies

    def _write(self, batches: Iterator[tuple[Argument, ...]], so_far: tuple[int, int]) -> Dispatched:
        created_count, refused_count = so_far
        for reply in run_ahead(self._redis, batches):
            more, full = created(reply)
            created_count += more
            refused_count += full
        return Dispatched(created_count, refused_count)

    def _batches(
        self,
        invocation: Invocation,
        payload: bytes,
        targets: Sequence[str],
        *,
        within_ms: int,
        inline: bool,
        all_targets: Sequence[str] = (),
        secret_values: Mapping[str, str] | None = None,
        held: Sequence[str] | None = None,
    ) -> Iterator[tuple[Argument, ...]]:
        token = "" if inline else invocation.payload_token
        pacing = invocation.pacing
        last_ms = life_ms(invocation, within_ms)
        neighbours = lines(all_targets or targets, pacing) if pacing else None
        envelope = encode(
            Envelope(
                invoke_id=invocation.invoke_id,
                firing_ms=_RUNS_ONCE_MS,
                attempt=1,
                digest=digest(payload),
                payload_token=token,
                created_ms=invocation.created_ms,
                expires_ms=invocation.created_ms + last_ms + EXPIRY_MARGIN_MS,
                nonce=os.urandom(12).hex(),
            )
        )
        common: list[Argument] = [
            invocation.invoke_id,
            invocation.command.command_id,
            _RUNS_ONCE_MS,
            invocation.created_ms,
            within_ms,
            invocation.timeout_seconds,
            envelope,
            payload if inline else b"",
            invocation.done_channel,
            self._queue_count,
            template(token, self._redis.name),
            PLACEHOLDER,
            self._master.current if self._master else "",
            *((last_ms, pacing.failures_count) if pacing else ()),
        ]
        remaining = iter(targets)
        while some := list(islice(remaining, _LOOK_UP_COUNT)):
            signed = zip(some, self.signer.signatures(some, envelope, secret_values, held), strict=True)
            while chunk := [
                (one, execution_id(invocation.invoke_id, _RUNS_ONCE_MS, one), signature)
                for one, signature in islice(signed, CHUNK_COUNT)
            ]:
                yield tuple(create_executions_command(invocation.invoke_id, chunk, common, neighbours))


def _travels_in_rows(payload: bytes, target_count: int) -> bool:
    return len(payload) * target_count <= _INLINE_BYTES


def _check_created(reply: list[bytes], invocation: Invocation) -> None:
    word = reply[0]
    if word == b"unknown":
        names = ", ".join(name.decode() for name in reply[1:6])
        more = f" and {len(reply) - 6} more" if len(reply) > 6 else ""
        raise NotFound(
            f"no instance {names}{more} is registered; `assist instance list` shows those that are",
            code="InvalidInstance.NotFound",
        )
    if word == b"no_command":
        raise NotFound(f"no command {invocation.command.command_id}", code="InvalidCmdId.NotFound")
    if word == b"exists":
        raise Refused(f"invocation {invocation.invoke_id} exists already", code="IdempotentProcessing")
