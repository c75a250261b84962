"""The words of ``assist ecs`` become what goes over the wire."""

import shlex

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer.cli.verbs.ecs_words import read_words


@pytest.mark.parametrize(
    ("line", "parameters"),
    [
        ("A1x", None),
        ("InvokeCommand --InstanceIds a b --Timed false", {"InstanceId.1": "a", "InstanceId.2": "b", "Timed": "false"}),
        ("InvokeCommand --InstanceIds i-1", {"InstanceId.1": "i-1"}),
        ("""InvokeCommand --InstanceIds '["a", "b"]'""", {"InstanceId.1": "a", "InstanceId.2": "b"}),
        ("StopInvocation --InstanceIds", {"InstanceId.1": ""}),
        ("StopInvocation --InstanceIds '[]'", {"InstanceId.1": ""}),
        ("InvokeCommand --InstanceId.1 a --InstanceId.2 b", {"InstanceId.1": "a", "InstanceId.2": "b"}),
        ("DescribeInstances --InstanceIds a b", {"InstanceIds": '["a", "b"]'}),
        ("""DescribeInstances --InstanceIds '["a"]'""", {"InstanceIds": '["a"]'}),
        ("RunCommand --EnableParameter --KeepCommand", {"EnableParameter": "true", "KeepCommand": "true"}),
        ("RunCommand --Tag.1.Key=env --Tag.1.Value=", {"Tag.1.Key": "env", "Tag.1.Value": ""}),
        ("RunCommand --CommandContent '--- a'", {"CommandContent": "--- a"}),
        ("RunCommand --Timeout -5", {"Timeout": "-5"}),
    ],
)
def test_words(line: str, parameters: dict[str, str] | None) -> None:
    words = shlex.split(line)
    if parameters is None:
        with pytest.raises(RequestInvalid):
            read_words(words)
        return
    call = read_words(words)
    assert (call.action, call.parameters) == (words[0], parameters)


@pytest.mark.parametrize("words", ["--force --InstanceIds a b", "--InstanceIds a --force b"])
def test_force_may_stand_anywhere(words: str) -> None:
    call = read_words(["StopInvocation", *shlex.split(words)])
    assert (call.forced, call.parameters) == (True, {"InstanceId.1": "a", "InstanceId.2": "b"})
    assert not read_words(["StopInvocation"]).forced


@pytest.mark.parametrize("line", ["", "--Name x", "CreateCommand x", "desc1be", "InvokeCommand --InstanceIds '[x'"])
def test_words_that_make_no_call(line: str) -> None:
    with pytest.raises(RequestInvalid):
        read_words(shlex.split(line))


def test_bytes_that_are_no_text_are_refused_with_the_way_to_send_them() -> None:
    with pytest.raises(RequestInvalid, match="Base64"):
        read_words(["RunCommand", "--CommandContent", b"\xff".decode("utf-8", "surrogateescape")])
