"""Activations over the API, from their making to their end, and their tags."""

from e2e.gateway.real_gateway import RealGateway


def test_an_activation_is_made_shown_disabled_and_deleted(real: RealGateway) -> None:
    made = real.call(
        "CreateActivation", {"InstanceName": "web", "InstanceCount": "3", "Tag.1.Key": "env", "Tag.1.Value": "test"}
    )
    assert made["ActivationCode"].startswith("a-")
    activation_id = made["ActivationId"]
    (shown,) = real.call("DescribeActivations", {"Tag.1.Key": "env"})["ActivationList"]
    assert (shown["ActivationId"], shown["InstanceCount"], shown["Disabled"]) == (activation_id, 3, False)
    assert shown["Tags"] == [{"TagKey": "env", "TagValue": "test"}]
    assert made["ActivationCode"] not in str(shown)
    real.call("TagResources", {"ResourceType": "activation", "ResourceId.1": activation_id, "Tag.1.Key": "more"})
    listed = real.call("ListTagResources", {"ResourceType": "activation", "Tag.1.Key": "more"})
    assert {one["TagKey"] for one in listed["TagResources"]["TagResource"]} == {"env", "more"}
    assert real.call("DisableActivation", ActivationId=activation_id)["Activation"]["Disabled"] is True
    assert "Disabled" not in real.call("DeleteActivation", ActivationId=activation_id)["Activation"]
    assert real.call("DescribeActivations", ActivationId=activation_id)["ActivationList"] == []
