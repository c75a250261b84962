"""What a Python program hands in that is not of its type is refused, and leaves no record that nobody can read."""

from typing import Any

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer import Assistant, RunOptions
from cloud_assistant.producer.fleet.targets import Targets

ON_1 = Targets(instance_ids=["i-1"])


@pytest.mark.parametrize(
    "options",
    [
        {"grace_seconds": True},
        {"deliver_within_seconds": 1.5},
        {"deliver_within_seconds": True},
        {"requested_by": None},
        {"requested_by": {"name": "ops"}},
    ],
    ids=str,
)
def test_an_option_of_a_wrong_type_dispatches_nothing(assistant: Assistant, options: dict[str, Any]) -> None:
    with pytest.raises(RequestInvalid, match=rf"wrong type: Expected .* at `\$\.{next(iter(options))}`"):
        assistant.run_command("true", ON_1, RunOptions(**options))
    found = assistant.describe_invocations()
    assert (list(found.items), list(found.unreadable)) == ([], [])


@pytest.mark.parametrize("wrong", [{"enable_parameter": 0}, {"enable_parameter": None}], ids=str)
def test_a_command_with_a_value_of_a_wrong_type_is_not_stored(assistant: Assistant, wrong: dict[str, Any]) -> None:
    for attempt in (
        lambda: assistant.create_command(name="n", type="RunShellScript", content="true", **wrong),
        lambda: assistant.run_command("true", ON_1, **wrong),
        lambda: assistant.run_command("true", ON_1, keep_command=1),  # type: ignore[arg-type]
    ):
        with pytest.raises(RequestInvalid, match="wrong type") as refused:
            attempt()
        assert refused.value.code == "InvalidParameter"
    found = assistant.describe_commands()
    assert (list(found.items), list(found.unreadable)) == ([], [])
    assert not assistant.describe_invocations().unreadable
