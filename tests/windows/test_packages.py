"""Packages on an instance that runs Windows, under Wine."""

from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]


def test_one_changes_packages_at_a_time(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
import threading
from cloud_assistant.worker.packages.package_index import PackageIndex
waits, order = threading.Event(), []

def second():
    waits.set()
    with PackageIndex(root).locked():
        order.append("second")

other = threading.Thread(target=second)
with PackageIndex(root).locked():
    other.start()
    waits.wait()
    other.join(1)
    order.append("first")
other.join()
print(order)
""")
    assert told == ["['first', 'second']"]
