"""The page about scripts says what scripts find, what results say, and how `assist` ends."""

import re
from pathlib import Path

from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.releases.package_order import HOME_VARIABLE, PROGRAM_VARIABLE
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer.cli import exit_codes
from cloud_assistant.worker.execution.account import Account
from cloud_assistant.worker.execution.environment import LANGUAGE, SEARCH_PATH, clean_environment
from cloud_assistant.worker.execution.script import Script

PAGE = (Path(__file__).parents[4] / "deploy" / "SCRIPTS.md").read_text(encoding="utf-8")


def named_in(section: str) -> set[str]:
    """What stands in backticks in the first column of a section's table."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_variable_of_a_script_is_there_and_no_other() -> None:
    script = Script(
        execution_id="t-1.0@i-1",
        instance_id="i-1",
        invoke_id="t-1",
        command_id="c-1",
        command_name="run",
        script_type="RunShellScript",
        content=b"",
    )
    account = Account(name="root", uid=0, gid=0, group_ids=(), home="/root", shell="/bin/sh", is_own=True)
    found = clean_environment(script, account, now_ms=0)
    assert named_in("What a script finds") == {*found, "CA_PARAM_<NAME>", PROGRAM_VARIABLE, HOME_VARIABLE}
    assert f"`{SEARCH_PATH}`" in PAGE
    assert f"`{LANGUAGE}`, `/tmp`" in PAGE


def test_every_state_is_there_with_reasons_that_exist() -> None:
    assert named_in("What a result says") == {state.value for state in ExecutionState}
    table = PAGE.partition("## What a result says\n")[2].partition("\n\nAn invocation")[0]
    reasons = set(re.findall(r"`([A-Z][A-Za-z]+)`", table)) - {state.value for state in ExecutionState}
    assert reasons <= {code.value for code in ErrorCode}


def test_every_exit_code_is_there_and_no_other() -> None:
    shown = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)}
    assert shown == {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}


def test_limits_are_what_the_settings_have() -> None:
    settings = Settings()
    assert settings.limits.content_bytes == settings.agent.output_limit_bytes == 24 * 1024
    assert settings.limits.file_bytes * 3 // 4 == 24 * 1024
    assert settings.agent.live_output_bytes == 16 * 1024
    assert (settings.limits.timeout_seconds_max, settings.limits.deliver_within_seconds) == (86_400, 60)
    assert (settings.agent.grace_seconds, settings.limits.deliver_within_seconds_max) == (5.0, 30 * 86_400)
