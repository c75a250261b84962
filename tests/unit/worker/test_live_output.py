import pytest

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.functions.executions import LivePiece
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.worker import live_output
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.live_output import LiveOutput


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[LivePiece]:
    pieces: list[LivePiece] = []

    def append(_redis: Redis, _instance_id: str, _execution_id: str, piece: LivePiece) -> bool:
        pieces.append(piece)
        if piece.data == b"lost":
            raise RedisUnreachable("away")
        if piece.data == b"more":
            raise RedisRefused("OOM no room")
        return True

    monkeypatch.setattr(live_output, "append_output", append)
    return pieces


def live(most_bytes: int = 100) -> LiveOutput:
    return LiveOutput(Redis("redis://127.0.0.1:1/0"), "i-one", "t-1", most_bytes=most_bytes)


def test_a_piece_is_published_with_its_streams(published: list[LivePiece]) -> None:
    live().publish(OutputChunk(7, [(1, b"out"), (2, b"err")], 2))

    assert published[0].data == b"outerr"
    assert (published[0].offset_bytes, published[0].skipped_bytes) == (7, 2)
    assert published[0].streams == "1:3,2:3"


def test_of_too_much_the_newest_is_published(published: list[LivePiece]) -> None:
    live(4).publish(OutputChunk(0, [(1, b"abc"), (2, b"def")], 0))

    assert published[0].data == b"cdef"
    assert (published[0].offset_bytes, published[0].skipped_bytes) == (2, 2)
    assert published[0].streams == "1:1,2:3"

    live(3).publish(OutputChunk(0, [(1, b"abc"), (2, b"def")], 0))
    assert published[1].streams == "2:3", "no piece of nothing"


def test_what_redis_did_not_take_is_counted_in_the_next_piece(published: list[LivePiece]) -> None:
    output = live()
    output.publish(OutputChunk(0, [(1, b"lost")], 0))
    output.publish(OutputChunk(7, [(1, b"more")], 3))
    output.publish(OutputChunk(11, [(1, b"next")], 0))
    output.publish(OutputChunk(15, [(1, b"last")], 0))

    assert [call.skipped_bytes for call in published] == [0, 7, 11, 0]
