"""Parameters in the text of a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.broker_config.errors import CloudAssistantError, RequestInvalid
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer.commands.command_library import build_command
from cloud_assistant.producer.commands.script_parameters import check_values, names_in, substitute, substituted_bytes

names = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


def test_names_are_found_once_in_order_whatever_the_blanks_and_the_case() -> None:
    assert names_in(b"{{b}} {{ a }} {{\n B \n}} {{ACS::InstanceId}}") == ("b", "a", "ACS::InstanceId")


def test_single_braces_and_shell_expansions_are_no_parameters() -> None:
    assert names_in(b"${x} { y } }} {{") == ()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{{}}", "CmdParam.EmptyKey"),
        (b"{{ }}", "CmdParam.EmptyKey"),
        (b"{{a.b}}", "CmdParam.InvalidParamName"),
        (b"{{.Names}}", "CmdParam.InvalidParamName"),
        ("{{名}}".encode(), "CmdParam.InvalidParamName"),
        (b"{{" + b"a" * 65 + b"}}", "CmdParamName.ExceedLimit"),
        (b" ".join(b"{{p%d}}" % number for number in range(21)), "CmdParamCount.ExceedLimit"),
    ],
)
def test_a_bad_name_is_refused_with_the_code_of_the_api(content: bytes, code: str) -> None:
    with pytest.raises(CloudAssistantError) as caught:
        names_in(content)
    assert caught.value.code == code


def test_values_are_spelled_as_the_command_spells_them_and_missing_ones_are_empty() -> None:
    assert check_values(("Name", "other"), {"name": "x"}, enabled=True) == {"Name": "x", "other": ""}


def test_built_ins_are_not_the_callers_to_give() -> None:
    assert check_values(("acs::InstanceId",), {}, enabled=True) == {}
    with pytest.raises(CloudAssistantError) as caught:
        check_values(("acs::InstanceId",), {"acs::InstanceId": "i-2"}, enabled=True)
    assert caught.value.code == "Parameter.NotMatched"


@pytest.mark.parametrize(
    ("given_values", "enabled", "code"),
    [
        ({"a": "1"}, False, "Parameter.Disabled"),
        ({"c": "1"}, True, "Parameter.NotMatched"),
        ({"a": "1", "A": "2"}, True, "ParameterKey.Duplicate"),
        ({"a": 1}, True, "ParameterType.NotSupported"),
        ({"a" * 65: "1"}, True, "ParameterKey.ExceedLimit"),
        ({f"p{number}": "" for number in range(11)}, True, "ParameterCount.ExceedLimit"),
        ({"a": "\0"}, True, "InvalidParameterCharset.Parameters"),
    ],
)
def test_bad_values_are_refused_with_the_code_of_the_api(
    given_values: dict[str, object], enabled: bool, code: str
) -> None:
    with pytest.raises(CloudAssistantError) as caught:
        check_values(("a", "b"), given_values, enabled=enabled)
    assert caught.value.code == code


@given(name=names, value=st.text().map(lambda text: text.replace("\0", "")), before=st.binary(), after=st.binary())
def test_substitution_is_exact_and_touches_nothing_else(name: str, value: str, before: bytes, after: bytes) -> None:
    before, after = before.replace(b"{", b"").replace(b"}", b""), after.replace(b"{", b"").replace(b"}", b"")
    value = value.encode("utf-8", "replace").decode()
    text = before + b"{{ " + name.upper().encode() + b" }}" + after
    assert substitute(text, {name: value}) == before + value.encode() + after
    assert substituted_bytes(text, {name: value}) == len(before + value.encode() + after)


def test_a_value_that_looks_like_a_parameter_is_not_filled_again() -> None:
    assert substitute(b"{{a}}{{b}}", {"a": "{{b}}", "b": "x"}) == b"{{b}}x"


def test_built_ins_stay_for_the_instance_to_resolve() -> None:
    assert substitute(b"{{ACS::InstanceId}} {{a}}", {"a": "1"}) == b"{{ACS::InstanceId}} 1"


def test_as_many_as_are_allowed_are_taken() -> None:
    names = names_in(b" ".join(b"{{p%d}}" % number for number in range(20)))
    assert len(names) == 20
    values = dict.fromkeys(names[:10], "x")
    assert check_values(names, values, enabled=True) == {**dict.fromkeys(names, ""), **values}


@pytest.mark.parametrize(
    ("declared", "secret", "content"),
    [(("a-b", "a_b"), (), b""), (("who", "WHO"), (), b""), (("a-b",), ("a_b",), b""), (("a_b",), (), b"{{a-b}}")],
)
def test_two_parameters_of_one_variable_are_refused_where_one_of_them_would_be_lost(
    declared: tuple[str, ...], secret: tuple[str, ...], content: bytes
) -> None:
    with pytest.raises(RequestInvalid, match=r"would both be the variable CA_PARAM_(A_B|WHO); rename one"):
        build_command(
            LimitSettings(), name="t", type="RunShellScript", content=content or b"true",
            enable_parameter=bool(content), declared_parameters=declared, secret_parameters=secret,
        )  # fmt: skip


def test_two_names_that_the_text_tells_apart_may_share_a_variable() -> None:
    made = build_command(
        LimitSettings(), name="t", type="RunShellScript", content=b"{{a-b}} {{a_b}}", enable_parameter=True
    )
    assert made.parameter_names == ("a-b", "a_b")
