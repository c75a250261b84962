"""Typed reading of parameters, with the API's codes."""

from collections.abc import Callable

import pytest

from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.api_errors import ApiError


def code_of(read: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(ApiError) as caught:
        read()
    return caught.value.code, caught.value.http_status


def test_text_tells_absent_from_empty() -> None:
    parameters = Parameters({"Description": ""})
    assert parameters.text("Description", None) == ""
    assert parameters.text("Name", None) is None
    assert parameters.text("Name") == ""
    assert "Description" in parameters
    assert "Name" not in parameters


def test_names_are_case_sensitive() -> None:
    assert Parameters({"commandid": "c-1"}).text("CommandId") == ""


def test_a_required_parameter_has_the_code_of_its_name_or_the_given_one() -> None:
    assert Parameters({"CommandId": "c-1"}).required("CommandId") == "c-1"
    assert code_of(lambda: Parameters({}).required("CommandId")) == ("MissingCommandId", 400)
    assert code_of(lambda: Parameters({"CommandId": ""}).required("CommandId")) == ("MissingCommandId", 400)
    assert code_of(lambda: Parameters({}).required("ResourceType", code="MissingParameter.ResourceType")) == (
        "MissingParameter.ResourceType",
        404,
    )


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)])
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:
    assert Parameters({"Timed": text}).boolean("Timed", default=None) is value


def test_a_boolean_that_is_not_given_is_the_default() -> None:
    assert Parameters({}).boolean("Timed", default=None) is None
    assert Parameters({"Timed": ""}).boolean("Timed", default=True) is True


@pytest.mark.parametrize("text", ["yes", "1", "tru", " true", "真"])
def test_a_boolean_that_is_none_is_refused(text: str) -> None:
    assert code_of(lambda: Parameters({"Timed": text}).boolean("Timed", default=False)) == (
        "InvalidParameter.Timed",
        400,
    )


@pytest.mark.parametrize(("text", "value"), [("60", 60), ("-1", -1), ("+7", 7), ("007", 7), ("", 5)])
def test_integers_are_decimal(text: str, value: int) -> None:
    assert Parameters({"Timeout": text}).integer("Timeout", 5) == value


@pytest.mark.parametrize("text", ["1.0", "1e3", "0x10", "1_000", "٣", " 1", "1 ", "9" * 5000, "--1", "None"])
def test_an_integer_that_is_none_is_refused(text: str) -> None:
    read = Parameters({"PageSize": text})
    assert code_of(lambda: read.integer("PageSize", 10)) == ("InvalidParameter.PageSize", 400)
    assert code_of(lambda: read.integer("PageSize", 10, code="InvalidParam.PageSize")) == (
        "InvalidParam.PageSize",
        400,
    )


def test_an_integer_outside_its_bounds_is_refused() -> None:
    parameters = Parameters({"PageSize": "51", "PageNumber": "0"})
    assert code_of(lambda: parameters.integer("PageSize", 10, maximum=50, code="InvalidParam.PageSize")) == (
        "InvalidParam.PageSize",
        400,
    )
    assert code_of(lambda: parameters.integer("PageNumber", 1, minimum=1)) == ("InvalidParameter.PageNumber", 400)
    assert parameters.integer("PageSize", 10, maximum=51) == 51
    assert parameters.integer("PageNumber", 1, minimum=0) == 0


def test_a_list_is_ordered_by_number_and_tolerates_gaps() -> None:
    parameters = Parameters(
        {"InstanceId.10": "ten", "InstanceId.9": "nine", "InstanceId.2": "two", "InstanceId.400": "last"}
    )
    assert parameters.list_of("InstanceId") == ["two", "nine", "ten", "last"]


@pytest.mark.parametrize("name", ["InstanceId.x", "InstanceId.", "InstanceId.1.Key", "InstanceId.-1", "InstanceId"])
def test_what_only_looks_like_a_list_entry_is_ignored(name: str) -> None:
    assert Parameters({name: "v", "InstanceId.1x": "v", "XInstanceId.1": "v"}).list_of("InstanceId") == []


def test_an_absurd_index_is_ignored() -> None:
    assert Parameters({"InstanceId." + "9" * 6000: "v", "InstanceId.٣": "w"}).list_of("InstanceId") == []


def test_objects_are_collected_by_number() -> None:
    parameters = Parameters(
        {"Tag.2.Key": "zone", "Tag.1.Value": "prod", "Tag.1.Key": "env", "Tag.10.Key": "last", "Tag.3": "no object"}
    )
    tags = [(tag.text("Key"), tag.text("Value", None)) for tag in parameters.objects("Tag")]
    assert tags == [("env", "prod"), ("zone", None), ("last", None)]


def test_objects_may_hold_lists() -> None:
    parameters = Parameters(
        {"TagFilter.1.TagKey": "env", "TagFilter.1.TagValues.2": "b", "TagFilter.1.TagValues.1": "a"}
    )
    (tag_filter,) = parameters.objects("TagFilter")
    assert tag_filter.text("TagKey") == "env"
    assert tag_filter.list_of("TagValues") == ["a", "b"]


def test_an_error_inside_an_object_names_the_whole_parameter() -> None:
    (tag,) = Parameters({"Tag.3.Value": "prod"}).objects("Tag")
    with pytest.raises(ApiError, match=r"Tag\.3\.Key"):
        tag.required("Key", code="MissingParameter.TagKey")


def test_a_json_object_is_read() -> None:
    assert Parameters({"Parameters": '{"name": "杰克", "n": ""}'}).json_object("Parameters") == {
        "name": "杰克",
        "n": "",
    }
    assert Parameters({}).json_object("Parameters") is None
    assert Parameters({"Parameters": ""}).json_object("Parameters") is None
    assert Parameters({"Parameters": "{}"}).json_object("Parameters") == {}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '"text"',
        "{",
        "{'name': 'Jack'}",
        '{"a": NaN}',
        '{"a": "\\ud800"}',
        '{"a": 1e999}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": ' + "9" * 5000 + "}",
        "\x00",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_a_json_object_is_refused(text: str) -> None:
    parameters = Parameters({"Parameters": text})
    assert code_of(lambda: parameters.json_object("Parameters")) == ("InvalidParameter.Parameters", 400)


def test_a_python_dict_is_refused_with_the_remedy() -> None:
    with pytest.raises(ApiError, match=r"json\.dumps"):
        Parameters({"Parameters": "{'name': 'Jack'}"}).json_object("Parameters")


def test_a_key_given_twice_has_its_own_code() -> None:
    parameters = Parameters({"Parameters": '{"name": "a", "name": "b"}'})
    assert code_of(lambda: parameters.json_object("Parameters", duplicate_code="ParameterKey.Duplicate")) == (
        "ParameterKey.Duplicate",
        403,
    )
    assert code_of(lambda: parameters.json_object("Parameters")) == ("InvalidParameter.Parameters", 400)


def test_a_json_list_is_read() -> None:
    assert Parameters({"InstanceIds": '["i-1", "i-2"]'}).json_list("InstanceIds") == ["i-1", "i-2"]
    assert Parameters({}).json_list("InstanceIds") is None
    assert code_of(lambda: Parameters({"InstanceIds": "i-1,i-2"}).json_list("InstanceIds")) == (
        "InvalidParameter.InstanceIds",
        400,
    )
    assert code_of(lambda: Parameters({"InstanceIds": "{}"}).json_list("InstanceIds")) == (
        "InvalidParameter.InstanceIds",
        400,
    )


def test_a_long_value_is_not_repeated_in_full_in_an_error() -> None:
    with pytest.raises(ApiError) as caught:
        Parameters({"Timeout": "x" * 10_000}).integer("Timeout", 60)
    assert len(caught.value.message) < 200


def test_business_values_leave_out_the_protocol() -> None:
    values = {"Action": "A", "SignatureNonce": "n", "Timestamp": "t", "OwnerId": "1", "Name": "x", "Tag.1.Key": "k"}
    assert Parameters(values).business_values == {"Name": "x", "Tag.1.Key": "k"}


def test_two_requests_are_not_compared_by_their_secrets() -> None:
    """What they are compared by is kept for a day, and the digest of a short secret can be guessed."""
    given = Parameters({"Action": "RunCommand", "Name": "n", "SecretParameters": '{"token":"geheim"}'})
    assert given.business_values == {"Name": "n"}
