"""Turn a script into a plan on Windows; what can be refused without starting anything is refused here."""

import os
from collections.abc import Mapping
from pathlib import Path

from ..interpreter import launcher_extension, launcher_words
from ..invocation_facts import checked, facts_of
from ..machine_clock import wall_clock_ms
from ..not_started import COMMAND_NOT_APPLICABLE, DIRECTORY_NOT_EXISTS, EXECUTION_EXCEPTION, NotStarted
from ..output.masking import patterns_of
from ..plan import Plan
from ..script import Script
from .script import (
    EXTENSIONS,
    shell_of,
    split_windows_command_line,
    windows_arguments,
    windows_content,
    windows_environment,
)

_SYSTEM_ROOT = r"C:\Windows"


def prepare_on_windows(script: Script, folder: Path, inherited: Mapping[str, str]) -> Plan:
    """Check the script, and return the plan to run it in ``folder``; ``inherited`` is the agent's environment.

    Nothing is written.

    Scripts run as the agent's own user: to become another one, Windows wants that user's password.

    Raises:
        NotStarted: the script cannot run here; nothing was started.
    """
    if script.script_type not in EXTENSIONS:
        raise NotStarted(COMMAND_NOT_APPLICABLE, f"{script.script_type} needs Linux and this instance runs Windows")
    if script.username:
        raise NotStarted(
            EXECUTION_EXCEPTION, f"agents on Windows run scripts as their own user only, not as {script.username!r}"
        )
    folder = folder.absolute()
    facts = facts_of(script, now_ms=wall_clock_ms())
    environment = checked(windows_environment(script, inherited, facts))
    working_directory = _working_directory(script, inherited, folder)
    extension = launcher_extension(script.launcher)
    path = folder / f"script{extension or EXTENSIONS[script.script_type]}"
    arguments = _arguments(script, str(path), environment.get("SystemRoot", _SYSTEM_ROOT))
    shell = shell_of(script.script_type, arguments if script.launcher else (), extension)
    return Plan(
        execution_id=script.execution_id,
        folder=str(folder),
        arguments=arguments,
        script_path=str(path),
        content=windows_content(shell, script.content, [*script.parameters.values(), *script.secrets.values()]),
        environment=environment,
        working_directory=working_directory,
        working_directory_is_default=not script.working_directory,
        credentials=None,
        timeout_seconds=script.timeout_seconds,
        grace_seconds=script.grace_seconds,
        drain_seconds=script.drain_seconds,
        kills_tree=script.termination_mode == "ProcessTree",
        output_limit_bytes=script.output_limit_bytes,
        keep_script=script.keep_script,
        masked=patterns_of(script.secrets.values()),
    )


def _arguments(script: Script, path: str, system_root: str) -> list[str]:
    if script.launcher:
        return launcher_words(script.launcher, path, split=split_windows_command_line)
    return windows_arguments(script.script_type, path, system_root=system_root)


def _working_directory(script: Script, inherited: Mapping[str, str], folder: Path) -> str:
    wanted = script.working_directory
    if wanted and not os.path.isabs(wanted):  # noqa: PTH117 - as text, like the rest of it
        raise NotStarted(DIRECTORY_NOT_EXISTS, f"working directory {wanted!r} is not an absolute path")
    if wanted and not Path(wanted).is_dir():
        raise NotStarted(DIRECTORY_NOT_EXISTS, f"working directory {wanted!r} does not exist; create it")
    return wanted or inherited.get("USERPROFILE") or str(folder)
