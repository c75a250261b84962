"""What a Python program mixes up is told in words that help, and nothing is dispatched."""

from collections.abc import Callable
from typing import Any

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer import Assistant, RunOptions, Targets

ON_1 = Targets(instance_ids=["i-1"])
TRUE: Any = {"name": "n", "type": "RunShellScript", "content": "true"}
MIXED_UP: dict[str, tuple[Callable[[Any, str], object], str]] = {
    "an id for targets": (lambda a, _: a.run_command("true", "i-1"), "targets must be Targets(instance_ids=[…])"),
    "ids for targets": (lambda a, _: a.run_command("true", ["i-1"]), "targets must be Targets("),
    "one id for several": (
        lambda a, _: a.run_command("true", Targets(instance_ids="i-1")),
        "instance_ids must be a list: ['i-1'], not 'i-1'",
    ),
    "tags in words": (lambda a, _: a.run_command("true", Targets(tags="env=prod")), "tags must be a mapping"),  # type: ignore[arg-type]
    "a dict for options": (
        lambda a, _: a.run_command("true", ON_1, {"timeout_seconds": 5}),
        "options must be RunOptions(…), not {'timeout_seconds': 5}",
    ),
    "the same for a stored command": (
        lambda a, _: a.invoke_command("c-1", ON_1, {"timeout_seconds": 5}),
        "options must be RunOptions(…)",
    ),
    "no script": (lambda a, _: a.run_command(None, ON_1), "content must be a text or bytes, not None"),
    "one declared name": (
        lambda a, _: a.create_command(**TRUE, declared_parameters="who"),
        "declared_parameters must be a list: ['who'], not 'who'",
    ),
    "one secret name": (lambda a, _: a.create_command(**TRUE, secret_parameters="who"), "secret_parameters must be"),
    "nothing for a name": (lambda a, _: a.modify_command("c-1", name=None), "name must be a text, not None"),
    "a text for seconds": (
        lambda a, _: a.modify_command("c-1", timeout_seconds="90"),
        "timeout_seconds must be a number of seconds, not '90'",
    ),
    "what of a command stays": (
        lambda a, _: a.modify_command("c-1", content="false"),
        "the content of a command stays as it is; these can change: name, description, working_directory,",
    ),
    "an answer to stop": (lambda a, _: a.stop_invocation(object()), "invoke_id must be the id as a text"),
    "one instance to stop": (lambda a, made: a.stop_invocation(made, "i-1"), "instance_ids must be a list: ['i-1']"),
    "an answer to wait for": (lambda a, _: a.wait(object(), timeout_seconds=1), "the invoke_id of what was answered"),
    "nothing to follow": (lambda a, _: list(a.follow(None)), "not None"),
    "an id for a filter": (lambda a, made: a.describe_invocations(made), "wanted must be InvocationFilter(…)"),
    "an id for a filter of results": (
        lambda a, made: a.describe_invocation_results(made),
        "wanted must be ResultFilter(invoke_id=…)",
    ),
    "a long text": (lambda a, _: a.run_command("true", "i" * 1000), "not 'iiii"),
}


@pytest.mark.parametrize("what", MIXED_UP)
def test_it_is_told_what_is_wanted(assistant: Assistant, what: str) -> None:
    made = assistant.run_command("true", ON_1).invoke_id
    call, said = MIXED_UP[what]
    with pytest.raises(RequestInvalid) as refused:
        call(assistant, made)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 200
    assert refused.value.code == "InvalidParameter"
    assert [one.stored.record.invoke_id for one in assistant.describe_invocations().items] == [made]
    assert not assistant.describe_commands().items


def test_what_was_right_is_right(assistant: Assistant) -> None:
    assistant.run_command(b"true", Targets(instance_ids=("i-1",)), RunOptions(timeout_seconds=9))
    assistant.create_command(**TRUE, declared_parameters=["who"], secret_parameters=("pass",))
