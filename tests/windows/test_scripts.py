"""Scripts in a Python for Windows under Wine, without an agent around them."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def test_a_batch_file_runs_wherever_the_home_lies(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
for name in ("a b", "R&D", "Tom (Work)", "a^b", "x,y;z=1", "ü 用户"):
    (root / name).mkdir()
    record = ended(launch(root / name / "x-1", b"echo ran\nexit /b 3"))
    print(name, record.exit_code, record.output.merged())
""")
    assert len(told) == 6
    assert [line for line in told if not line.endswith(r" 3 b'ran\r\n'")] == []
