import socket
from pathlib import Path

import pytest

from cloud_assistant.worker.service.notifier import ServiceNotifier


def test_the_service_manager_hears_each_message(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        notifier = ServiceNotifier(str(tmp_path / "notify"))
        notifier.ready()
        notifier.status("takes work")
        notifier.alive()
        notifier.stopping()

        assert [manager.recv(100) for _ in range(4)] == [b"READY=1", b"STATUS=takes work", b"WATCHDOG=1", b"STOPPING=1"]


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("")
        manager.settimeout(5)
        name = manager.getsockname()
        ServiceNotifier("@" + name[1:].decode()).alive()

        assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_service_manager_nothing_happens_and_a_lost_one_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceNotifier("").ready()
    notifier = ServiceNotifier(str(tmp_path / "gone"))
    for _ in range(3):
        notifier.alive()
    assert caplog.text.count("the service manager cannot be told that the agent lives") == 1
