"""Whatever anybody may have written is refused in one way, however it is wrong."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config.audit.entry import decode_entry
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.functions.executions import announced_fields
from cloud_assistant.broker_config.messages import decode_envelope, decode_order, decode_stop
from cloud_assistant.broker_config.releases.package_report import decode_report
from cloud_assistant.broker_config.releases.upgrade_order import SignedOrder, read_order, read_signed
from cloud_assistant.broker_config.reported_values import json_list
from cloud_assistant.worker.queue.message import MessageUnreadable, read_message

NESTED = b"[" * 3_500
WRONG = {
    "nested without end": b'{"x":' + NESTED,
    "no text": b'{"kind":"\xff","stop":"\xff","invoke_id":"\xff","order":"\xff","body":"\xff","action":"\xff"}',
    "cut off": b"{",
}
RAISING: dict[str, tuple[Callable[[bytes], Any], type[Exception]]] = {
    "order": (decode_order, msgspec.MsgspecError),
    "envelope": (decode_envelope, msgspec.MsgspecError),
    "stop": (decode_stop, msgspec.MsgspecError),
    "audit": (decode_entry, msgspec.MsgspecError),
    "signed upgrade": (read_signed, Refused),
    "upgrade": (lambda data: read_order(SignedOrder(data.decode("utf-8", "replace"), "")), Refused),
    "message": (read_message, MessageUnreadable),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("reader", RAISING)
def test_what_cannot_be_read_is_one_kind_of_error(reader: str, wrong: str) -> None:
    read, error = RAISING[reader]
    with pytest.raises(error):
        read(WRONG[wrong])


def test_a_report_or_a_list_that_cannot_be_read_says_nothing() -> None:
    nested = b'[{"name":"a","version":"1","status":"Installed","x":' + NESTED
    not_text = b'[{"name":"\xff","version":"1","status":"Installed"}]'
    for wrong in (nested, not_text):
        assert decode_report(wrong) == []
        assert json_list(wrong) == []


def test_a_row_nested_without_end_is_none() -> None:
    assert announced_fields(b"\x93" + b"\x91" * 100_000) is None
