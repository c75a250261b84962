"""CreateActivation, DescribeActivations, DisableActivation, DeleteActivation."""

from collections.abc import Mapping

from ...api import Assistant
from ...fleet import activations
from ...fleet.activations import ActivationFilter
from ...shapes import Shape
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .request_values import page_fields, page_request_of, tag_filter_of, tags_of


class ActivationActions:
    """Codes with which machines register."""

    def __init__(self, assistant: Assistant) -> None:
        self._redis = assistant.redis
        self._trust = assistant.trust
        self._hours_max = assistant.settings.limits.activation_hours_max

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "CreateActivation": self.create_activation,
            "DescribeActivations": self.describe_activations,
            "DisableActivation": self.disable_activation,
            "DeleteActivation": self.delete_activation,
        }

    def create_activation(self, call: Call) -> Fields:
        """Make an activation; its code is in this answer alone."""
        given = call.parameters
        count = given.integer("InstanceCount", 10, code="ActivationLimitation.Invalid")
        hours = given.integer(
            "TimeToLiveInHours", min(activations.HOURS_MAX, self._hours_max), code="ActivationTTL.ExceedLimit"
        )
        tags = tags_of(given)

        def act() -> Shape:
            activation_id, code = activations.create(
                self._redis,
                self._trust.known_master,
                instance_name=given.text("InstanceName"),
                instance_count=count,
                hours=hours,
                address_range=given.text("IpAddressRange"),
                description=given.text("Description"),
                resource_group_id=given.text("ResourceGroupId"),
                tags=tags,
                hours_max=self._hours_max,
            )
            return {"ActivationId": activation_id, "ActivationCode": code}

        # Of a code nothing but a digest is kept: whoever reads Redis must not be able to join.
        return once_per_token(self._redis, call, act, is_secret=True)

    def describe_activations(self, call: Call) -> Fields:
        """List activations, newest first; without their codes, which nobody can tell any more."""
        given = call.parameters
        wanted = ActivationFilter(
            activation_id=given.text("ActivationId"),
            instance_name=given.text("InstanceName"),
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
        )
        page = activations.describe(self._redis, wanted, page_request_of(call))
        return {**page_fields(page, call.caller), "ActivationList": [activations.shape_of(one) for one in page.items]}

    def disable_activation(self, call: Call) -> Fields:
        """Let no more machines register with it."""
        stored = activations.disable(self._redis, call.parameters.required("ActivationId"))
        return {"Activation": activations.shape_of(stored)}

    def delete_activation(self, call: Call) -> Fields:
        """Delete an activation with which no machine has registered."""
        activation_id = call.parameters.required("ActivationId")
        deleted = activations.delete(self._redis, activation_id)
        shape = {"ActivationId": activation_id} if deleted is None else activations.shape_of(deleted)
        return {"Activation": {name: value for name, value in shape.items() if name != "Disabled"}}
