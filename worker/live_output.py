"""Publish what a running script writes, for those who follow it; never at the cost of the script or its result."""

from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.functions.executions import LivePiece, append_output
from ..broker_config.redis.client import Redis
from ..broker_config.results import format_runs
from .execution.output.output_chunk import OutputChunk

#: Pieces kept for somebody who begins to follow late: about ten seconds of a script that never pauses.
_KEEP_COUNT = 100
_TTL_MS = 3_600_000


class LiveOutput:
    """The live view of one execution.

    The supervisor paces it: nothing in the first tenth of a second, then at most ten pieces a second.
    """

    def __init__(self, redis: Redis, instance_id: str, execution_id: str, *, most_bytes: int) -> None:
        self._redis = redis
        self._instance_id = instance_id
        self._execution_id = execution_id
        self._most_bytes = most_bytes
        self._lost_bytes = 0

    def publish(self, chunk: OutputChunk) -> None:
        """Publish one piece; what Redis does not take is counted as skipped in the next one."""
        frames, cut_bytes = _newest(chunk.frames, self._most_bytes)
        skipped_bytes = chunk.skipped_bytes + cut_bytes + self._lost_bytes
        piece = LivePiece(
            offset_bytes=chunk.offset_bytes + cut_bytes,
            skipped_bytes=skipped_bytes,
            streams=format_runs([(stream, len(data)) for stream, data in frames]),
            data=b"".join(data for _, data in frames),
            keep_count=_KEEP_COUNT,
            ttl_ms=_TTL_MS,
        )
        try:
            append_output(self._redis, self._instance_id, self._execution_id, piece)
            self._lost_bytes = 0
        except (RedisUnreachable, RedisRefused):
            # The result has the whole output; a viewer sees the gap.
            self._lost_bytes = skipped_bytes + len(piece.data)


def _newest(frames: list[tuple[int, bytes]], most_bytes: int) -> tuple[list[tuple[int, bytes]], int]:
    """The newest frames that fit, and how many bytes were left out before them."""
    total_bytes = sum(len(data) for _, data in frames)
    cut_bytes = max(0, total_bytes - most_bytes)
    rest, kept = cut_bytes, []
    for stream, data in frames:
        if rest < len(data):
            kept.append((stream, data[rest:]))
        rest = max(0, rest - len(data))
    return kept, cut_bytes
