"""Files that are sent to an instance that runs Windows, under Wine."""

import json
import subprocess
from pathlib import Path

import pytest
from windows.conftest import as_windows

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]

_WRITE = r"""
import json, sys
from pathlib import Path
from cloud_assistant.broker_config.messages import FileOrder
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.file_delivery import write_file
from cloud_assistant.worker.policy.policy_file import PolicyFile, PolicyGuard

root, orders = sys.argv[1], json.loads(sys.argv[2])
guard = PolicyGuard(PolicyFile(root + r"\policy.toml"), "root")
told = []
for name, folder, content, overwrite in orders:
    order = FileOrder(name=name, target_directory=folder, content=content.encode(), owner="", group="", mode="0644",
                      overwrite=overwrite, timeout_seconds=60)
    try:
        guard.check_file(order)
        told.append(write_file(order, lambda place: guard.check_file(order, place)).state)
    except NotStarted as exc:
        told.append(exc.error_code)
print(json.dumps(told))
"""


def written(
    python: Path, environment: dict[str, str], root: Path, orders: list[tuple[str, str, str, bool]]
) -> list[str]:
    """What came of each order, in turn, under a policy that lets files into one folder only."""
    (root / "allowed").mkdir()
    allowed = as_windows(root / "allowed").replace("\\", "\\\\")
    (root / "policy.toml").write_text(f'[files]\ndirectories = ["{allowed}"]\n', encoding="utf-8")
    command = ["wine", str(python), "-c", _WRITE, as_windows(root), json.dumps(orders)]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_file_is_written_whole_where_it_may_be(python: Path, environment: dict[str, str], tmp_path: Path) -> None:
    inside = as_windows(tmp_path / "allowed" / "new")
    told = written(
        python,
        environment,
        tmp_path,
        [
            ("a.txt", inside, "one\n", False),
            ("a.txt", inside, "two\n", False),
            ("a.txt", inside.upper(), "three\n", True),
            ("b.txt", as_windows(tmp_path), "four\n", False),
            ("b.txt", r"C:\files", "five\n", False),
            ("b.txt", f"{inside}\\..\\..\\..", "six\n", False),
            ("new", as_windows(tmp_path / "allowed"), "seven\n", True),
            ("b.txt", f"{inside}\\a.txt", "eight\n", False),
        ],
    )
    refused = "RefusedByLocalPolicy"
    assert told == [
        *("Success", "FileAlreadyExists", "Success", refused, refused, refused),
        *("FileCreateFail", "FilePathInvalid"),
    ]
    assert sorted(one.name for one in (tmp_path / "allowed").rglob("*")) == ["a.txt", "new"]
    assert (tmp_path / "allowed" / "new" / "a.txt").read_bytes() == b"three\n"
