"""Errors of activations and of the instances registered with them."""

from collections.abc import Mapping

from .row import ErrorRow

_NAME = "A name starts with a letter and holds letters, digits and . _ - : only."
_RANGE = "Give an IPv4 or IPv6 address, or a range such as 10.0.0.0/8."

ROWS: Mapping[str, ErrorRow] = {
    "InstanceName.ExceedLimit": ErrorRow(400, "The instance's name is too long or too short.", _NAME),
    "InstanceName.InvalidPattern": ErrorRow(400, "The instance's name is not valid.", _NAME),
    "ActivationDesc.ExceedLimit": ErrorRow(400, "The description is too long.", "Use at most 100 characters."),
    "ActivationLimitation.Invalid": ErrorRow(
        400, "The number of instances is not valid.", "An activation serves 1 to 1000 instances."
    ),
    "ActivationCount.ExceedLimit": ErrorRow(
        400, "There are too many activations.", "Delete activations that nobody needs."
    ),
    "ActivationTTL.ExceedLimit": ErrorRow(
        400, "The time to live is not valid.", "Give a number of hours within the limit."
    ),
    "AddressRange.InvalidPattern": ErrorRow(400, "The address range is not valid.", _RANGE),
    "ManagedInstanceCountExceedLimit": ErrorRow(
        403, "There are too many managed instances.", "Deregister instances that are gone."
    ),
    "RealNameAuthenticationError": ErrorRow(
        403, "The account has not proved its identity.", "Ask an administrator to complete the account."
    ),
    "ActivationId.NotFound": ErrorRow(404, "There is no such activation.", "DescribeActivations lists them."),
    "ActivationId.InUse": ErrorRow(
        403, "Instances are registered with this activation.", "Disable it, or deregister them first."
    ),
}
