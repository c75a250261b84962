"""What an agent takes for a message, and that nothing else ends it."""

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.worker.queue.message import MessageUnreadable, read_message

OURS = json.loads(fill(template("token", "test"), "t-1.0@i-one"))


def stored(**changed: object) -> bytes:
    return json.dumps({**OURS, **changed}).encode()


def test_a_message_of_ours_is_read() -> None:
    read = read_message(stored())

    assert read.headers["task"] == RUN_COMMAND_TASK
    assert read.content_type == "application/json"
    assert json.loads(read.body)[0] == ["t-1.0@i-one", "token"]


def test_a_body_in_base64_is_what_kombu_writes_and_is_unpacked() -> None:
    body = base64.b64encode('[["ü"]]'.encode()).decode()

    assert read_message(stored(body=body, properties={"body_encoding": "base64"})).body == '[["ü"]]'.encode()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00\xff noise",
        b"{}",
        b"[1, 2]",
        b'"text"',
        b"null",
        stored()[:-30],
        stored(headers=None),
        stored(headers=["task"]),
        stored(properties=7),
        stored(body=None),
        stored(body={"a": 1}),
        stored(**{"content-type": 3}),
        stored(body="no base64!", properties={"body_encoding": "base64"}),
        stored(body="ü", properties={"body_encoding": "base64"}),
        stored(properties={"body_encoding": "zip"}),
        stored(properties={"body_encoding": ["base64"]}),
        stored(headers={"task": RUN_COMMAND_TASK, "compression": "application/x-gzip"}),
        stored(body="\ud800"),
        b'{"headers": ' + b"[" * 100_000 + b"]" * 100_000 + b', "properties": {}}',
    ],
)
def test_what_is_no_message_is_refused_with_a_reason(damaged: bytes) -> None:
    with pytest.raises(MessageUnreadable) as refused:
        read_message(damaged)

    assert str(refused.value)


@given(
    any_.binary(max_size=200)
    | any_.recursive(
        any_.none() | any_.booleans() | any_.integers() | any_.text(),
        lambda inner: (
            any_.lists(inner)
            | any_.dictionaries(any_.sampled_from([*OURS, *OURS["headers"], *OURS["properties"]]), inner)
        ),
    ).map(lambda made: json.dumps(made).encode())
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(MessageUnreadable):
        assert isinstance(read_message(data).headers, dict)
