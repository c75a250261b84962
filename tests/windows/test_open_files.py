"""Files that somebody else has open, which Windows neither moves nor removes: under Wine."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def test_a_log_that_somebody_reads_loses_no_line(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
import logging
from cloud_assistant.broker_config.programs.program_log import BoundedLogFile
log, path = logging.getLogger("x"), root / "a.log"
log.propagate = False
log.addHandler(BoundedLogFile(path, limit_bytes=1000, count=5, days=10))
for number in range(40):
    log.warning("line %d %s", number, "x" * 40)
with path.open("rb"):
    for number in range(40, 80):
        log.warning("line %d %s", number, "x" * 40)
kept = "".join(one.read_text() for one in root.glob("a.log*"))
print([number for number in range(80) if f"line {number} " not in kept])
""")
    assert told == ["[]"]


def test_a_file_that_is_looked_at_for_a_moment_is_replaced_all_the_same(
    on_windows: Callable[[str], list[str]],
) -> None:
    """As a virus scanner does with whatever was just written."""
    told = on_windows(r"""
import threading
from cloud_assistant.broker_config.files.private_file import write_private_file
from cloud_assistant.worker.execution.record import replace_file
from cloud_assistant.worker.journal import Journal
from cloud_assistant.worker.boot.machine_start import remembered_boot

def looked_at(path):
    file = path.open("rb")
    threading.Timer(0.3, file.close).start()

write_private_file(root / "key", "old")
name = remembered_boot(root, 1000)
Journal(root / "journal", fsync=False).close()
looked_at(root / "key")
write_private_file(root / "key", "new")
looked_at(root / "boot.json")
print((root / "key").read_text(), remembered_boot(root, 2000) == name)
replace_file(str(root / "exit.json"), b"old")
looked_at(root / "exit.json")
replace_file(str(root / "exit.json"), b"new")
print((root / "exit.json").read_bytes())
looked_at(root / "journal")
Journal(root / "journal", fsync=False).close()
with (root / "key").open("rb"):
    try:
        write_private_file(root / "key", "newer")
    except PermissionError:
        print("given up")
""")
    assert told == ["new True", "b'new'", "given up"]


def test_the_folder_of_a_script_goes_although_a_file_in_it_is_read_only_or_looked_at(
    on_windows: Callable[[str], list[str]],
) -> None:
    told = on_windows(r"""
import subprocess, threading
from cloud_assistant.worker.execution.folder_removal import remove_folder
content = b'attrib +r "%~f0"\nmd "%~dp0\\in"\necho x>"%~dp0\\in\\a"\nattrib +r "%~dp0\\in\\a"\nattrib +r "%~dp0\\in"\n'
ended(launch(root / "x-1", content))
print(sorted(path.name for path in (root / "x-1").rglob("*") if not os.access(path, os.W_OK)))
remove_folder(root / "x-1")
print((root / "x-1").exists())

ended(launch(root / "x-2", b"echo ran"))
file = (root / "x-2" / "started.json").open("rb")
threading.Timer(0.1, file.close).start()
remove_folder(root / "x-2")
print((root / "x-2").exists())

ended(launch(root / "x-3", b"echo ran"))
with (root / "x-3" / "started.json").open("rb"):
    try:
        remove_folder(root / "x-3")
    except PermissionError:
        print("given up")

from cloud_assistant.worker.spool import Spool
spool = Spool(root / "spool", limit_bytes=0, keep_scripts=True)
spool.make()
kept = root / "spool" / "t-12345678.0@i-1"
ended(launch(kept, b'attrib +r "%~f0"'))
spool.delivered(kept.name)
print(sorted(path.name for path in kept.iterdir()), spool.trim(), kept.exists())
""")
    assert told == ["['a', 'script.bat']", "False", "False", "given up", "['delivered', 'script.bat'] 0 False"]
