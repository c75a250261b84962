"""The page about Python: its examples run as they stand, and it names all that can be imported."""

import re
import sys
from pathlib import Path

import pytest
from e2e.cli.conftest import Fleet

from cloud_assistant import producer
from cloud_assistant.broker_config import errors

PAGE = (Path(__file__).parents[3] / "deploy" / "PYTHON.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_examples_run_one_after_another(fleet: Fleet) -> None:
    # Who lets the next ones go where a few run at a time.
    fleet.system.start_beat()
    (fleet.folder / "page.py").write_text("\n".join(EXAMPLES), encoding="utf-8")
    shown = fleet.shell(f"{sys.executable} page.py", within_seconds=60).must_succeed().stdout
    for said in (
        "Failed\ni-web1 Failed 3 ExitCodeNonzero\n123\n\nb'123\\n' b'' 0\n",
        "i-web2 ended: Success b'1\\n2\\n3\\n'\n",
        'b"it\'s me\\n"\n',
        "active 0\n",
        "InvalidInstance.NotFound no instance i-nobody is registered",
    ):
        assert said in shown
    assert re.search(r"^i-web1 is (?:Pending|Running)$", shown, re.MULTILINE)
    # An agent that had not begun has nothing to stop.
    word = r"'(?:Stopping|Cancelled)'"
    assert re.search(rf"^{{'i-web1': {word}, 'i-web2': {word}}}\nStopped$", shown, re.MULTILINE)
    once = re.findall(r"^t-\S+$", shown, re.MULTILINE)
    assert len(once) == 2
    assert len(set(once)) == 1
    assert shown.endswith("Success\n")


def test_all_that_can_be_imported_is_named() -> None:
    assert [name for name in producer.__all__ if f"`{name}`" not in PAGE and f"{name}" not in "".join(EXAMPLES)] == []
    for name in producer.__all__:
        assert getattr(producer, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = producer.Nobody


def test_every_exception_is_there() -> None:
    told = {name for row in re.findall(r"^\| (`.*)$", PAGE, re.MULTILINE) for name in re.findall(r"`([A-Z]\w+)`", row)}
    raised = {
        one.__name__ for one in vars(errors).values() if isinstance(one, type) and one.__module__ == errors.__name__
    }
    assert raised - told == {"CloudAssistantError"}
