"""What of a file is judged before it is sent: each limit lets through what it should, and no more."""

import pytest

from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.file_delivery import FileRequest
from cloud_assistant.producer.fleet.targets import Targets

ON_1 = Targets(instance_ids=["i-1"])


def request(**changed: object) -> FileRequest:
    return FileRequest(**{"name": "n", "target_directory": "/srv", "content": b"c", **changed})  # type: ignore[arg-type]  # as given


def test_what_is_just_within_the_limits_is_sent_as_it_was_asked_for(assistant: Assistant) -> None:
    for changed in (
        {"name": "ü" * 255},
        {"target_directory": "/" + "x" * 254},
        {"target_directory": "C:\\files"},
        {"target_directory": "d:/files"},
        {"description": "x" * 512},
        {"content": b"x" * (24 * 1024)},
        {"mode": "4755"},
        {"owner": "x" * 64},
        {"group": "svc$"},
    ):
        invoked = assistant.send_file(request(**changed), ON_1)
        assert load_invocation(assistant.redis, invoked.invoke_id).record.file is not None, changed
    asked = request(timeout_seconds=70, deliver_within_seconds=80, resource_group_id="rg-1", tags={"a": "b"})
    record = load_invocation(assistant.redis, assistant.send_file(asked, ON_1).invoke_id).record
    assert (record.timeout_seconds, record.deliver_within_seconds) == (70, 80)
    assert (record.resource_group_id, record.tags) == ("rg-1", {"a": "b"})
    record = load_invocation(assistant.redis, assistant.send_file(request(), ON_1).invoke_id).record
    assert record.deliver_within_seconds == assistant.settings.limits.deliver_within_seconds


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": ""}, "MissingName"),
        ({"name": "x" * 256}, "FileName.ExceedLimit"),
        ({"target_directory": "/" + "x" * 255}, "FileTargetDir.Invalid"),
        ({"target_directory": "/a\nb"}, "FileTargetDir.Invalid"),
        ({"target_directory": "C:files"}, "FileTargetDir.Invalid"),
        ({"target_directory": ""}, "FileTargetDir.Invalid"),
        ({"description": "x" * 513}, "FileDesc.ExceedLimit"),
        ({"content": b"x" * (24 * 1024 + 1)}, "FileSize.ExceedLimit"),
        ({"mode": "0888"}, "FileMode.Invalid"),
        ({"mode": "64"}, "FileMode.Invalid"),
        ({"mode": "0644\n"}, "FileMode.Invalid"),
        ({"owner": "x" * 65}, "InvalidParameter.FileOwner"),
        ({"owner": "-x"}, "InvalidParameter.FileOwner"),
        ({"group": "a b"}, "InvalidParameter.FileGroup"),
        ({"content_type": "Gzip"}, "FileContentType.Invalid"),
        ({"tags": {"a": "\n"}}, "InvalidTagValue.Malformed"),
        ({"timeout_seconds": 90_000}, "InvalidTimeout.ExceedLimit"),
    ],
)
def test_what_is_beyond_them_is_refused(assistant: Assistant, changed: dict[str, object], code: str) -> None:
    with pytest.raises(CloudAssistantError) as refused:
        assistant.send_file(request(**changed), ON_1)
    assert refused.value.code == code


def test_what_is_wrong_with_a_folder_is_said(assistant: Assistant) -> None:
    with pytest.raises(CloudAssistantError, match="of at most 255 characters, none of them a control character"):
        assistant.send_file(request(target_directory="/a\nb"), ON_1)
