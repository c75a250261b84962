import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused, SettingsInvalid
from cloud_assistant.worker.home_lock import Holder, HomeLock, holder, is_held

HOLD = """
import sys
from pathlib import Path
from cloud_assistant.worker.home_lock import Holder, HomeLock
lock = HomeLock(Path(sys.argv[1]))
lock.describe(Holder(pid=7, instance_id="i-one"))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_held_home_is_refused_and_says_by_whom(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert is_held(tmp_path)
        with pytest.raises(Refused, match="pid 7, instance i-one"):
            HomeLock(tmp_path)
        other.kill()
        other.wait()

    assert not is_held(tmp_path)
    HomeLock(tmp_path)


def test_a_home_is_made_where_there_is_none_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    lock = HomeLock(home)
    assert home.stat().st_mode & 0o777 == 0o700
    lock.describe(Holder(pid=1))


def test_what_a_child_inherits_does_not_hold_the_home(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.describe(Holder(pid=os.getpid(), instance_id="i-one"))
    # A child that got every descriptor, as a supervisor could.
    with subprocess.Popen(["sleep", "30"], close_fds=False) as child:
        os.close(lock._fd)

        assert not is_held(tmp_path)
        child.kill()


def test_the_holder_can_be_read_by_anybody(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert not is_held(tmp_path)
    lock = HomeLock(tmp_path)
    lock.describe(Holder(pid=12345678, instance_id="i-long-name"))
    lock.describe(Holder(pid=1, instance_id="i-one", version="1.0"))

    assert holder(tmp_path) == Holder(pid=1, instance_id="i-one", version="1.0")


def test_a_home_that_cannot_be_made_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsInvalid, match="CLOUD_ASSISTANT_HOME"):
        HomeLock(tmp_path / "file" / "home")
