"""The instance ids of a request, in every form in which clients send them."""

from collections.abc import Sequence

from ..api_errors import api_error
from .parameters import Parameters


def instance_ids_of(parameters: Parameters) -> list[str]:
    """List the ids of ``InstanceId.N``, each once, in order; empty if none was given.

    ``InstanceIds.N``, and ``InstanceIds`` as a JSON array, comma list or space list, are hand-written clients' forms
    of the same. (``DescribeInstances`` is different: there the JSON array is the only form.)

    Raises:
        ApiError: ``InvalidInstance.NotFound`` when every id is one character long. The stock 2017 command line does
            that to its first id and loses the others, so nothing can be repaired here.
    """
    ids = parameters.list_of("InstanceId") or parameters.list_of("InstanceIds") or _in_one_value(parameters)
    ids = [instance_id for instance_id in ids if instance_id]
    if ids and all(len(instance_id) == 1 for instance_id in ids):
        raise api_error(
            "InvalidInstance.NotFound",
            f"The client split an instance id into its characters ({''.join(ids)[:40]}) and lost any further id; "
            "the stock aliyuncli does that.",
        )
    return list(dict.fromkeys(ids))


def one_instance_id_of(parameters: Parameters) -> str:
    """Give the id of ``InstanceId`` where an action takes one; a list of one is the same, and ``""`` is no filter.

    Raises:
        ApiError: ``InvalidParameter.InstanceId`` when there are several: without them all would be listed.
    """
    one = parameters.text("InstanceId", "")
    if one:
        return one
    ids = instance_ids_of(parameters)
    if len(ids) > 1:
        raise api_error("InvalidParameter.InstanceId", f"{len(ids)} instances were given; here it is one or none.")
    return "".join(ids)


def require_named_where_given(parameters: Parameters, ids: Sequence[str]) -> None:
    """Refuse a list of instances that is there and names none, where no list at all means every instance.

    An empty variable in somebody's script must not make "these" into "all".

    Raises:
        ApiError: ``MissingParam.InstanceId``.
    """
    given = {name.partition(".")[0] for name in parameters.business_values}
    if not ids and given & {"InstanceId", "InstanceIds"}:
        raise api_error(
            "MissingParam.InstanceId",
            "InstanceId was given and names no instance; for all instances leave it out.",
        )


def _in_one_value(parameters: Parameters) -> list[str]:
    name = "InstanceIds" if parameters.text("InstanceIds", "") else "InstanceId"
    value = parameters.text(name, "").strip()
    if not value.startswith("["):
        return value.replace(",", " ").split()
    ids = parameters.json_list(name, code="InvalidParameter.InstanceIds") or []
    if not all(isinstance(instance_id, str) for instance_id in ids):
        raise api_error("InvalidParameter.InstanceIds", f"The parameter {name} must be an array of strings.")
    return [str(instance_id) for instance_id in ids]
