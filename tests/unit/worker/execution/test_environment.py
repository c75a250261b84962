from collections.abc import Mapping
from dataclasses import replace

import pytest

from cloud_assistant.worker.execution.account import Account
from cloud_assistant.worker.execution.environment import clean_environment
from cloud_assistant.worker.execution.invocation_facts import parameter_variable
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.script import Script

ACCOUNT = Account("ann", 1, 2, (), "/home/ann", "/bin/zsh", is_own=True)


def script_with(*, parameters: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None) -> Script:
    return Script(
        execution_id="x",
        instance_id="i",
        invoke_id="t",
        command_id="c",
        command_name="n",
        script_type="RunShellScript",
        content=b"",
        attempt=3,
        parameters=parameters or {},
        environment=environment or {},
    )


def test_the_environment_names_the_user_and_nothing_of_the_agent() -> None:
    found = clean_environment(script_with(), ACCOUNT, now_ms=1_700_000_000_999)
    assert (found["HOME"], found["USER"], found["LOGNAME"], found["SHELL"]) == ("/home/ann", "ann", "ann", "/bin/zsh")
    assert found["CA_DEADLINE"] == "1700000060"
    assert found["LANG"] == "C.UTF-8", "text is UTF-8, on a machine without any locale too"
    assert found["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found["CA_ATTEMPT"] == "3"
    assert set(found) == {
        *("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TMPDIR", "CA_INVOKE_ID", "CA_EXECUTION_ID"),
        *("CA_INSTANCE_ID", "CA_COMMAND_ID", "CA_COMMAND_NAME", "CA_ATTEMPT", "CA_DEADLINE"),
    }


def test_without_a_timeout_there_is_no_deadline_unless_it_is_given() -> None:
    unlimited = replace(script_with(), timeout_seconds=0)
    assert "CA_DEADLINE" not in clean_environment(unlimited, ACCOUNT, now_ms=5)
    assert clean_environment(replace(unlimited, deadline_ms=7_999), ACCOUNT, now_ms=5)["CA_DEADLINE"] == "7"


def test_own_variables_replace_defaults_but_never_the_facts() -> None:
    found = clean_environment(script_with(environment={"PATH": "/mine", "CA_INVOKE_ID": "forged"}), ACCOUNT, now_ms=0)
    assert (found["PATH"], found["CA_INVOKE_ID"]) == ("/mine", "t")


@pytest.mark.parametrize(
    ("name", "variable"), [("name", "CA_PARAM_NAME"), ("log-Dir_2", "CA_PARAM_LOG_DIR_2"), ("名", "CA_PARAM_名")]
)
def test_the_variable_of_a_parameter(name: str, variable: str) -> None:
    assert parameter_variable(name) == variable
    assert clean_environment(script_with(parameters={name: "v"}), ACCOUNT, now_ms=0)[variable] == "v"


@pytest.mark.parametrize(("name", "value"), [("a", "x\0y"), ("a=b", "x"), ("a\0", "x")])
def test_what_the_kernel_cannot_take_is_refused(name: str, value: str) -> None:
    with pytest.raises(NotStarted, match="cannot be an environment variable"):
        clean_environment(script_with(parameters={name: value}), ACCOUNT, now_ms=0)
    with pytest.raises(NotStarted, match="cannot be an environment variable"):
        clean_environment(script_with(environment={name: value}), ACCOUNT, now_ms=0)
