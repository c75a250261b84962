"""Files that somebody else has open, which Windows neither moves nor removes: under Wine."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def test_a_log_that_somebody_reads_loses_no_line(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
import logging
from cloud_assistant.broker_config.program_log import BoundedLogFile
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
