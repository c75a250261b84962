"""What to do when this machine lacks something that a test needs."""

import os
from typing import NoReturn

import pytest


def fail_in_ci(what: str, remedy: str) -> NoReturn:
    """For what our own set-up installs: its absence fails in CI and skips, with the remedy, elsewhere."""
    message = f"MISSING on this machine: {what}. {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def skip_without(what: str, remedy: str) -> NoReturn:
    """For what only the machine's owner can give (a right, a system package): skip, with the remedy."""
    pytest.skip(f"MISSING on this machine: {what}. {remedy}")
