"""How this agent was started, so that whoever takes its place can start one in the same way."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import msgspec

from ...broker_config.settings_table import Value
from .installation import Installation


@dataclass(frozen=True)
class StartedAs:
    """The settings from the command line, and the words after ``run``."""

    overrides: Mapping[str, Value] = field(default_factory=dict)
    config: str = ""
    arguments: Sequence[str] = ()


def become_guard(installation: Installation, started_as: StartedAs, version: str, probation_seconds: float) -> NoReturn:
    """Make this process the guard of a trial; all of its threads end here.

    Raises:
        OSError: the program of this version cannot be executed.
    """
    program = str(installation.program(installation.current()))
    overrides = msgspec.json.encode(dict(started_as.overrides)).decode()
    logging.shutdown()
    # The same process for the service manager. Descriptors close by themselves, the home's lock with them.
    os.execv(
        program,
        [
            program,
            "supervise-version",
            *("--version", version, "--settings", overrides, "--config", started_as.config),
            *("--probation-seconds", str(probation_seconds), "--"),
            *started_as.arguments,
        ],
    )
