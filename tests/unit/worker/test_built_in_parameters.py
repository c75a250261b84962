import pytest

from cloud_assistant.broker_config.messages import WorkOrder
from cloud_assistant.worker.built_in_parameters import with_built_ins
from cloud_assistant.worker.execution.not_started import NotStarted

VALUES = {"InstanceId": "i-1", "InstanceName": "网页", "AccountId": ""}


def order(content: bytes, launcher: str = "") -> WorkOrder:
    return WorkOrder(command_id="c-1", type="RunShellScript", content=content, launcher=launcher, timeout_seconds=60)


@pytest.mark.parametrize(
    ("content", "resolved"),
    [
        (b"echo {{ACS::InstanceId}}", b"echo i-1"),
        (b"echo {{  ACS  ::\n InstanceId }}", b"echo i-1"),
        (b"{{ACS::InstanceName}}", "网页".encode()),
        (b"\xff\xfe {{ACS::InstanceId}} \x00", b"\xff\xfe i-1 \x00"),
        (b"{{name}} {ACS::InstanceId}", b"{{name}} {ACS::InstanceId}"),
    ],
)
def test_places_are_filled_and_all_other_bytes_stay(content: bytes, resolved: bytes) -> None:
    assert with_built_ins(order(content), VALUES).content == resolved


def test_the_launcher_is_filled_but_for_the_name_of_the_script() -> None:
    launcher = 'run {{ACS::InstanceId}} {{ACS::ScriptFileName|Ext(".py")}} {{ ACS::ScriptFileName }}'

    resolved = with_built_ins(order(b"", launcher), VALUES).launcher

    assert resolved == 'run i-1 {{ACS::ScriptFileName|Ext(".py")}} {{ ACS::ScriptFileName }}'


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(NotStarted, match=r"ACS::Nonsense; known are AccountId, InstanceId"):
        with_built_ins(order(b"{{ACS::Nonsense}}"), VALUES)


def test_a_name_without_a_value_is_refused_instead_of_becoming_nothing() -> None:
    with pytest.raises(NotStarted, match=r"AccountId has no value .* as a parameter of its own"):
        with_built_ins(order(b"rm -rf /data/{{ACS::AccountId}}"), VALUES)


@pytest.mark.parametrize("name", ["InstanceName", "AccountId"])
@pytest.mark.parametrize(
    "value",
    [
        *("x; id", "$(id)", "`id`", "a\nid", "a|b", "a&b", "a>b", "a\\b", "%PATH%", "'", "\ufffd"),
        *("-rf", "a -rf", " a", "a  b", "..", "../etc", "/etc"),
    ],
)
def test_what_no_signature_covers_never_becomes_a_part_of_the_script(name: str, value: str) -> None:
    for text, launcher in ((f"echo {{{{ACS::{name}}}}}", ""), ("", f"run {{{{ACS::{name}}}}}")):
        with pytest.raises(NotStarted, match="another name"):
            with_built_ins(order(text.encode(), launcher), {**VALUES, name: value})


@pytest.mark.parametrize("value", ["web-001", "first database", "db_1.example.org", "10:0", "\u7f51\u9875"])
def test_a_name_is_put_in_as_it_is(value: str) -> None:
    resolved = with_built_ins(order(b"echo {{ACS::InstanceName}}"), {**VALUES, "InstanceName": value})
    assert resolved.content == f"echo {value}".encode()
