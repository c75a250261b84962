"""An instance that gets no work is shown as one, whatever the reason was."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.instances import load


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
