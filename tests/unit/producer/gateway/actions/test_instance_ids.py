"""Every form in which clients have ever sent a list of instances."""

import pytest

from cloud_assistant.producer.gateway.actions.instance_ids import instance_ids_of, require_named_where_given
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.api_errors import ApiError


@pytest.mark.parametrize(
    "values",
    [
        {"InstanceId.1": "i-1", "InstanceId.2": "i-2"},
        {"InstanceId.10": "i-2", "InstanceId.9": "i-1"},
        {"InstanceIds.1": "i-1", "InstanceIds.2": "i-2"},
        {"InstanceIds": '["i-1", "i-2"]'},
        {"InstanceIds": "i-1,i-2"},
        {"InstanceIds": " i-1, i-2 "},
        {"InstanceIds": "i-1 i-2"},
        {"InstanceId": "i-1,i-2"},
        {"InstanceId": '["i-1", "i-2"]'},
        {"InstanceId.1": "i-1", "InstanceId.2": "i-2", "InstanceId.3": "i-1"},
        {"InstanceId.1": "i-1", "InstanceId.2": "", "InstanceId.3": "i-2"},
        {"InstanceId.1": "i-1", "InstanceId.2": "i-2", "InstanceIds": "i-9"},
    ],
    ids=str,
)
def test_all_forms_mean_the_same(values: dict[str, str]) -> None:
    assert instance_ids_of(Parameters(values)) == ["i-1", "i-2"]


@pytest.mark.parametrize("values", [{}, {"InstanceIds": ""}, {"InstanceIds": "[]"}, {"InstanceId.1": ""}])
def test_no_instance_is_an_empty_list(values: dict[str, str]) -> None:
    assert instance_ids_of(Parameters(values)) == []


@pytest.mark.parametrize(
    "values",
    [
        {f"InstanceId.{index}": letter for index, letter in enumerate("i-abc1", start=1)},
        {"InstanceId.1": "i"},
        {"InstanceIds.1": "i", "InstanceIds.2": "-"},
    ],
)
def test_an_id_split_into_characters_is_explained_and_not_repaired(values: dict[str, str]) -> None:
    with pytest.raises(ApiError, match="split an instance id") as caught:
        instance_ids_of(Parameters(values))
    assert (caught.value.code, caught.value.http_status) == ("InvalidInstance.NotFound", 404)


@pytest.mark.parametrize("text", ["[1, 2]", '["i-1"', '[["i-1"]]'])
def test_a_json_array_of_anything_else_is_refused(text: str) -> None:
    for name in ("InstanceIds", "InstanceId"):
        with pytest.raises(ApiError) as caught:
            instance_ids_of(Parameters({name: text}))
        assert (caught.value.code, caught.value.http_status) == ("InvalidParameter.InstanceIds", 400)


@pytest.mark.parametrize(
    "values", [{"InstanceIds": ""}, {"InstanceId": "[]"}, {"InstanceId.1": "", "InstanceId.2": ""}]
)
def test_a_list_that_is_there_and_empty_is_not_taken_for_all(values: dict[str, str]) -> None:
    parameters = Parameters({"InvokeId": "t-1", **values})
    with pytest.raises(ApiError, match="leave it out") as caught:
        require_named_where_given(parameters, instance_ids_of(parameters))
    assert caught.value.code == "MissingParam.InstanceId"


def test_no_list_or_one_with_an_instance_is_as_it_was() -> None:
    require_named_where_given(Parameters({"InvokeId": "t-1"}), [])
    require_named_where_given(Parameters({"InstanceId.1": "i-1"}), ["i-1"])
