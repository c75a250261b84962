"""Ctrl-C while a program starts: one line, no traceback, and no more imported before than must be."""

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config.programs.first_instruction import end_on_interrupt, raise_on_interrupt

ENTRIES = {
    "assist-agent": "cloud_assistant.worker.entry",
    "assist-beat": "cloud_assistant.beat.entry",
    "assist-gateway": "cloud_assistant.producer.gateway.entry",
}

#: Sends the interrupt when the import of click begins, which is the first that takes time.
INTERRUPTED_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from {entry} import main
main()
"""


@pytest.mark.parametrize("program", ENTRIES)
def test_ctrl_c_during_the_imports_is_told_in_one_line(program: str) -> None:
    code = INTERRUPTED_IMPORT.format(entry=ENTRIES[program])
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (outcome.returncode, outcome.stderr) == (130, f"{program}: interrupted (Interrupted)\n")


@pytest.mark.parametrize("entry", ENTRIES.values())
def test_next_to_nothing_is_imported_before_that(entry: str) -> None:
    code = (
        f"import io, os, re, sys; before = set(sys.modules); import {entry};"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('cloud_assistant')))"
    )
    outcome = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(outcome.stdout)) <= {"signal"}


@pytest.fixture
def interrupts() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_who_had_ctrl_c_ignored_has_it_ignored_all_the_way() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_on_interrupt("assist-beat")
    raise_on_interrupt()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.usefixtures("interrupts")
def test_from_some_point_on_ctrl_c_can_be_caught_again() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_on_interrupt("assist-agent")
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    raise_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
