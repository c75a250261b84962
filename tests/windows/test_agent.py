r"""The agent on Windows: real batch files in real job objects, under Wine.

Wine is not Windows: what these tests find wrong is wrong, and what they find right may still be wrong there.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.agent.operator_side import Execution, Operator
from windows.conftest import INSTANCE, as_windows
from windows.windows_python import BUILD

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.records import ScriptType
from harness.eventually import eventually
from harness.proc import all_processes
from harness.system import Agent

pytestmark = [pytest.mark.slow, pytest.mark.windows, pytest.mark.timeout(300)]

#: Stays for a minute and starts nothing; the number makes it ours.
_WAIT = "ping -n 60 127.0.0.{} >nul"


def invoke(operator: Operator, text: str, **options: object) -> Execution:
    [execution] = operator.invoke(text, [INSTANCE], script_type=ScriptType.BAT, **options)  # type: ignore[arg-type]
    return execution


def waiting(number: int) -> list[int]:
    """The processes of a script that wait for this address."""
    return [one.pid for one in all_processes() if one.command.endswith(f"-n 60 127.0.0.{number}")]


def test_a_batch_file_runs_with_its_code_and_both_streams(operator: Operator, start_agent: Callable[[], Agent]) -> None:
    start_agent()
    row = operator.wait(invoke(operator, "echo out\necho err 1>&2\necho %CA_INVOKE_ID%\nexit /b 7"))
    assert (row.state, row.outcome.exit_code) == ("Failed", 7)
    # One by one: cmd.exe of Wine writes the end of a line by itself, and the other stream may come in between.
    assert row.outcome.output.stream(1).decode().split() == ["out", row.invoke_id]
    assert row.outcome.output.stream(2).split() == [b"err"]


def test_a_value_of_another_script_is_written_as_it_was_given(
    operator: Operator, start_agent: Callable[[], Agent]
) -> None:
    start_agent()
    row = operator.wait(invoke(operator, "echo [%CA_PARAM_WHO%]", parameters={"who": "用户 ü"}))
    assert row.outcome.output.data.decode() == "[用户 ü]\r\n"


def test_a_stop_ends_all_that_a_script_has_started(operator: Operator, start_agent: Callable[[], Agent]) -> None:
    start_agent()
    execution = invoke(operator, f"start /b {_WAIT.format(2)}\n{_WAIT.format(2)}")
    eventually(lambda: len(waiting(2)) == 2, 20)
    operator.stop(execution)
    row = operator.wait(execution)
    assert (row.state, row.outcome.survivors) == ("Terminated", 0)
    assert waiting(2) == []


def test_a_timeout_is_kept(operator: Operator, start_agent: Callable[[], Agent]) -> None:
    start_agent()
    row = operator.wait(invoke(operator, _WAIT.format(3), timeout_seconds=1))
    assert (row.state, row.outcome.error_code, row.outcome.survivors) == ("Timeout", "ExecutionTimeout", 0)
    assert waiting(3) == []


def test_a_script_ends_with_its_agent_and_the_next_one_tells_so(
    operator: Operator, start_agent: Callable[[], Agent], home: Path
) -> None:
    agent = start_agent()
    execution = invoke(operator, f"echo before\n{_WAIT.format(4)}\necho after")
    eventually(lambda: list((home / "spool").glob("*/output.bin")) and len(waiting(4)) == 1, 20)
    agent.sigkill()
    eventually(lambda: waiting(4) == [], 20)
    start_agent()
    row = operator.wait(execution)
    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    assert row.outcome.output.data == b"before\r\n"
    eventually(lambda: not list((home / "spool").iterdir()), 10, "the spool is empty")


def test_what_was_started_is_not_started_again_although_redis_went_back_in_time(
    operator: Operator, start_agent: Callable[[], Agent], home: Path, tmp_path: Path
) -> None:
    """The journal holds over a restart, on a system that would write other line ends than it was given."""
    execution = invoke(operator, f"echo ran>>{as_windows(tmp_path)}\\effects")
    row = keys.execution(INSTANCE, execution.id)
    operator.redis.call("COPY", row, "before")
    agent = start_agent()
    operator.wait(execution)
    eventually(lambda: not list((home / "spool").iterdir()), 10, "only the journal knows of it")
    agent.stop()
    operator.redis.call("RENAME", "before", row)
    operator.redis.call("ZADD", keys.open_executions(INSTANCE), 1, execution.id)
    start_agent()
    eventually(lambda: operator.redis.call("HGET", row, "state") not in (b"Pending", b"Running"), 20)
    assert (tmp_path / "effects").read_text(encoding="utf-8").split() == ["ran"]


def test_scripts_run_beside_one_another(operator: Operator, start_agent: Callable[[], Agent]) -> None:
    start_agent()
    executions = [invoke(operator, f"echo {number}") for number in range(20)]
    assert [operator.wait(one).outcome.output.data.strip() for one in executions] == [b"%d" % n for n in range(20)]


def test_the_doctor_finds_nothing_that_fails(start_agent: Callable[[], Agent], verb: Callable[..., str]) -> None:
    start_agent()
    told = verb("doctor")
    assert re.search(r"^ok +agent +runs", told, re.MULTILINE), told
    assert re.search(r"^ok +rights", told, re.MULTILINE), told
    assert "fail " not in told.replace("fail  key", ""), told
    assert "a script ends with its agent" in told


def test_the_service_is_a_script_where_only_administrators_write(verb: Callable[..., str]) -> None:
    """PowerShell does nothing here, so what counts is where it would find the script, and what is in it."""
    told = verb("install", "--no-start")
    [path] = re.findall(r"wrote (\S+)", told)
    assert path == r"C:\ProgramData\CloudAssistant\cloud-assistant-agent-install.ps1"
    assert f"& '{path}'" in told
    text = (BUILD / "prefix" / "drive_c" / path[3:].replace("\\", "/")).read_text(encoding="utf-8")
    assert "Register-ScheduledTask" in text


def test_a_second_agent_of_one_home_is_refused(start_agent: Callable[[], Agent], verb: Callable[..., str]) -> None:
    start_agent()
    assert "an agent runs with home" in verb("run")
    assert "agent runs: instance i-win" in verb("status")


def test_a_request_to_end_is_obeyed(operator: Operator, start_agent: Callable[[], Agent]) -> None:
    agent = start_agent()
    agent.sigint()
    agent.wait(within_seconds=20)
    assert "agent ends" in agent.log()
    assert operator.redis.call("EXISTS", keys.info(INSTANCE)) == 0


def test_a_unix_socket_is_refused_in_one_line(verb: Callable[..., str], environment: dict[str, str]) -> None:
    environment["CLOUD_ASSISTANT_REDIS_URL"] = "unix:///run/redis.sock"
    for told in (verb("run"), verb("doctor")):
        assert "programs on Windows reach no Unix socket; use redis://" in told
        assert "Traceback" not in told


def test_an_upgrade_is_refused_before_anything_is_fetched(verb: Callable[..., str]) -> None:
    told = verb("upgrade", "--version", "latest")
    assert "an agent on Windows cannot upgrade itself" in told
    assert "(NotABundle)" in told


def test_an_order_to_upgrade_is_refused_as_well(on_windows: Callable[[str], list[str]]) -> None:
    told = on_windows(r"""
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.worker.upgrade.installation import Installation
try:
    Installation(root).require_running("1.0.0")
except Refused as exc:
    print(exc)
""")
    assert told
    assert told[0].startswith("an agent on Windows cannot upgrade itself")
