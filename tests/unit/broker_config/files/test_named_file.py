"""What a person may name by mistake: a device without an end, a pipe, a file that is far too large."""

import os
from pathlib import Path

import pytest

from cloud_assistant.broker_config.files.named_file import open_to_the_end, read_small_file

DEVICES = ("/dev/zero", "/dev/full")


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_without_an_end_is_too_large_for_a_small_file(device: str) -> None:
    with pytest.raises(OSError, match="it has more than 1 MiB") as raised:
        read_small_file(Path(device))
    assert raised.value.filename == device


def test_a_small_file_may_have_a_mebibyte(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(1024 * 1024))
    assert len(read_small_file(file)) == 1024 * 1024


@pytest.mark.parametrize("device", [*DEVICES, "/dev/null"])
def test_a_device_is_not_read_to_its_end(device: str) -> None:
    with pytest.raises(OSError, match="it is a device and no file"):
        open_to_the_end(Path(device))


def test_a_pipe_is_read_as_a_file_is() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"text")
    os.close(writer)
    with open_to_the_end(Path(f"/dev/fd/{reader}")) as file:
        assert file.read() == b"text"
    os.close(reader)
