"""An instance that gets no work is shown as one, whatever the reason was."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RequestInvalid
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet.instances import load


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_quarantine_without_a_reason_is_refused(assistant: Assistant, reason: str) -> None:
    assistant.add_instance("i-1")
    with pytest.raises(RequestInvalid, match="needs a reason"):
        assistant.trust.quarantine("i-1", reason)
    assert load(assistant.redis, "i-1").quarantined == ""


def test_one_that_an_agent_set_without_a_reason_is_shown(assistant: Assistant) -> None:
    assistant.add_instance("i-1")
    assistant.redis.call("HSETNX", keys.quarantine("i-1"), "reason", "")
    assert load(assistant.redis, "i-1").quarantined == "no reason given"


def test_nobody_unknown_is_put_into_quarantine_or_released(assistant: Assistant) -> None:
    for verb in (lambda: assistant.trust.quarantine("i-none", "a reason"), lambda: assistant.trust.release("i-none")):
        with pytest.raises(NotFound):
            verb()
    # An instance that is added under that id later would get no work.
    assert assistant.redis.call("EXISTS", keys.quarantine("i-none")) == 0


def test_the_first_reason_stays_and_goes_with_the_instance(assistant: Assistant) -> None:
    assistant.add_instance("i-1")
    assistant.redis.call("HSETNX", keys.quarantine("i-1"), "reason", "found on two machines")
    assistant.trust.quarantine("i-1", "by an operator")
    assert load(assistant.redis, "i-1").quarantined == "found on two machines"
    assert [assistant.trust.release("i-1"), assistant.trust.release("i-1")] == [True, False]
    assistant.trust.quarantine("i-1", "by an operator")
    assistant.remove_instance("i-1")
    assistant.add_instance("i-1")
    assert load(assistant.redis, "i-1").quarantined == ""
