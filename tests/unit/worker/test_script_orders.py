"""The script that an agent makes of a work order, its own settings, and what it tells every script."""

from typing import Any

import pytest

from cloud_assistant.broker_config.messages import Envelope, WorkOrder
from cloud_assistant.broker_config.settings_table import AgentSettings
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.script import Script
from cloud_assistant.worker.script_orders import script_of

SETTINGS = AgentSettings(output_limit_bytes=1000, grace_seconds=7.0, drain_seconds=3.0, keep_scripts=True)


def made_of(**order_fields: Any) -> Script:
    order = WorkOrder(
        **{
            "command_id": "c-1",
            "command_name": "disk",
            "type": "RunShellScript",
            "content": b"df",
            "timeout_seconds": 30,
            **order_fields,
        }
    )
    envelope = Envelope(invoke_id="t-1", firing_ms=0, attempt=2, digest="", created_ms=1, expires_ms=2, nonce="")
    return script_of(order, envelope, "t-1.0@i-1", "i-1", SETTINGS, {"token": "hunter2"}, {"CA_AGENT": "here"})


def test_a_script_is_what_its_order_says_within_what_the_settings_allow() -> None:
    assert made_of(launcher="/bin/dash", working_directory="/srv", username="www", parameters={"who": "me"}) == Script(
        execution_id="t-1.0@i-1",
        instance_id="i-1",
        invoke_id="t-1",
        command_id="c-1",
        command_name="disk",
        script_type="RunShellScript",
        content=b"df",
        launcher="/bin/dash",
        working_directory="/srv",
        username="www",
        parameters={"who": "me"},
        secrets={"token": "hunter2"},
        timeout_seconds=30,
        grace_seconds=7.0,
        termination_mode="ProcessTree",
        output_limit_bytes=1000,
        drain_seconds=3.0,
        keep_script=True,
        attempt=2,
        environment={"CA_AGENT": "here"},
    )


def test_an_order_may_say_how_its_script_is_to_be_ended() -> None:
    script = made_of(grace_seconds=60.0, termination_mode="Process")
    assert (script.grace_seconds, script.termination_mode) == (60.0, "Process")


@pytest.mark.parametrize("container", [{"container_id": "abc"}, {"container_name": "web"}])
def test_what_is_meant_for_a_container_does_not_run_outside_of_it(container: dict[str, str]) -> None:
    with pytest.raises(NotStarted, match="does not run commands in containers") as refused:
        made_of(**container)
    assert refused.value.error_code == "ClientNeedUpgrade"
