"""ModifyInvocationAttribute: change a timed invocation that goes on."""

from collections.abc import Mapping

from ...api import Assistant
from ...timed.modifying import TimedModification
from ..api_errors import api_error
from ..domain_errors import renamed_codes
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .instance_ids import instance_ids_of
from .parameters import Parameters
from .request_values import content_of
from .run_request import passed_parameters, secret_parameters_of

#: This action has names of its own for what others document too.
_CODES: Mapping[str, str] = {
    "CmdContent.ExceedLimit": "InvalidCommandContent.LengthLimitExceeded",
    "CmdParam.EmptyKey": "InvalidParameters.KeyEmpty",
    "CmdParam.InvalidParamName": "InvalidParameters.KeyMalformed",
    "CmdParamName.ExceedLimit": "InvalidParameters.KeyLengthLimitExceeded",
    "CmdParamCount.ExceedLimit": "InvalidParameters.CountLimitExceeded",
    "CmdCount.ExceedQuota": "CommandLimitExceeded",
    "InvalidParameter.Parameters": "InvalidParameters.KeyMalformed",
    "Parameter.Disabled": "InvalidParameters.KeyNotMatch",
    "Parameter.NotMatched": "InvalidParameters.KeyNotMatch",
    "ParameterKey.Duplicate": "InvalidParameters.KeyDuplicate",
    "ParameterKey.ExceedLimit": "InvalidParameters.KeyLengthLimitExceeded",
    "ParameterCount.ExceedLimit": "InvalidParameters.CountLimitExceeded",
    "ParameterType.NotSupported": "InvalidParameters.ValueTypeUnsupported",
    "InvalidParam.Frequency": "InvalidParameter.Frequency",
    "InvalidInstance.NotFound": "InvalidInstanceId.NotFound",
    "InstanceIds.ExceedLimit": "InvalidInstanceId.CountLimitExceeded",
    "InvalidCmdId.NotFound": "InvalidCommandId.NotFound",
}


class TimedActions:
    """Invocations that run by themselves."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {"ModifyInvocationAttribute": self.modify_invocation_attribute}

    def modify_invocation_attribute(self, call: Call) -> Fields:
        """Change content, parameters, frequency, or add instances; it counts from the next due time on."""
        invoke_id = call.parameters.required("InvokeId")
        with renamed_codes(_CODES):
            change = _change_of(call.parameters)

        def act() -> dict[str, object]:
            with renamed_codes(_CODES):
                return {"CommandId": self._assistant.timed.modify(invoke_id, change)}

        return once_per_token(self._assistant.redis, call, act)


def _change_of(given: Parameters) -> TimedModification:
    content = None
    if given.text("CommandContent"):
        content = content_of(
            given,
            "CommandContent",
            encoding_name="ContentEncoding",
            base64_by_default=False,
            decode_code="InvalidCommandContent.DecodeError",
        )
    parameters = passed_parameters(given) if given.text("Parameters") else None
    if parameters is not None and "" in parameters:
        raise api_error("InvalidParameters.KeyEmpty")
    return TimedModification(
        content=content,
        enable_parameter=given.boolean("EnableParameter", None),
        parameters=parameters,
        secret_parameters=secret_parameters_of(given),
        frequency=given.text("Frequency").strip(),
        resets_timezone=True,
        at_once=given.text("AtOnce"),
        stop_at=given.text("StopAt"),
        instance_ids=instance_ids_of(given),
    )
