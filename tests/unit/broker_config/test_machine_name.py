"""A name in another encoding than UTF-8 is sent all the same."""

import os
import socket

import pytest

from cloud_assistant.broker_config.machine_name import machine_name, sendable


def test_the_machine_is_called_what_the_system_calls_it() -> None:
    assert machine_name() == socket.gethostname()


def test_a_byte_that_is_no_text_becomes_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"b\xfcro"))
    assert machine_name() == "b?ro"
    assert sendable("büro") == "büro"
