"""What only its owner may read, on Windows: Wine keeps the rights of a file there as those of this system."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IRWXO)


def test_keys_and_the_home_are_not_for_everybody(on_windows: Callable[[str], list[str]], tmp_path: Path) -> None:
    told = on_windows(r"""
from cloud_assistant.broker_config.files.private_file import make_private_folder, write_private_file
from cloud_assistant.worker.home_lock import HomeLock
(root / "key").write_text("old, and open to others")
write_private_file(root / "key", "first\nsecond")
write_private_file(root / "key", "third\nfourth")
lock = HomeLock(root / "below" / "home")
make_private_folder(root / "below" / "home")
print((root / "key").read_bytes())
try:
    write_private_file(root / "nowhere" / "key", "x")
except FileNotFoundError as exc:
    print(exc.filename == str(root / "nowhere" / "key.new"))
""")
    assert told == [r"b'third\nfourth'", "True"]
    assert not is_open_to_others(tmp_path / "key")
    assert not is_open_to_others(tmp_path / "below" / "home")
    assert not (tmp_path / "key.new").exists()


def test_what_a_running_agent_keeps_is_not_for_everybody(start_agent: Callable[[], object], home: Path) -> None:
    start_agent()
    assert not is_open_to_others(home)
    assert not is_open_to_others(home / "agent-notes.json")
