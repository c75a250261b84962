"""Let in a machine that has an activation code: an instance with an id, a Redis user and a key of its own."""

import hmac
import ipaddress
import re
from collections.abc import Callable

import msgspec

from ...broker_config.errors import NotFound, RecordUnreadable, Refused, RequestInvalid
from ...broker_config.functions.activations import Taken, take_activation
from ...broker_config.ids import new_id
from ...broker_config.redis.client import Redis
from ..security.identities import Issued
from ..security.trust import Trust
from . import activations, instances
from .activations import Activation, StoredActivation
from .registration_turn import registration_digest, registration_turn

INSTANCE_ID_PREFIX = "mi"
_NAME_CHARACTERS = (2, 128)
#: Names a machine and proves that a request comes from it: long enough not to be guessed.
_MARK = re.compile(r"[A-Za-z0-9._-]{16,128}")
#: How long one machine's registration may take before another request of it is let through.
_TURN_MS = 60_000
_PURPOSE = "use of an activation"
_REFUSALS = {
    "gone": ("ActivationCode.Invalid", "this activation was deleted a moment ago"),
    "disabled": ("Activation.Disabled", "this activation is disabled; ask for another one"),
    "expired": ("Activation.Expired", "the time of this activation is over; ask for another one"),
    "used_up": ("Activation.UsedUp", "this activation has no use left; ask for another one"),
    "known": (
        "Machine.AlreadyRegistered",
        "this machine was registered with this activation before, and this request does not come from the same home, "
        "or its instance was given other credentials since (assist instance rotate); run it where it was registered, "
        "use the file of those credentials, or take another use on purpose with --force-new (a copied machine has "
        "the machine-id of its original)",
    ),
}


class WrongCode(Refused):
    """No activation has this id and this code; which of both is wrong is not told."""

    code = "ActivationCode.Invalid"


class RegistrationRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a machine sends."""

    activation_id: str
    activation_code: str
    #: The same for every request of this machine.
    machine_id: str
    #: A secret of the machine: who repeats a request with it gets the same instance, and no second use is taken.
    client_token: str
    name: str = ""
    #: Take another use although this machine has one.
    force_new: bool = False


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a registration."""

    instance_id: str
    instance_name: str
    issued: Issued
    #: Whether this machine had the use already.
    again: bool


class _Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an activation: by which machine, and what proves that it is the one."""

    activation: Activation
    machine: str
    proof: str

    def leading_to(self, instance_id: str) -> bytes:
        """What is sealed: nobody without the master key can have a use lead to another machine's instance."""
        return f"{self.activation.activation_id} {self.machine} {self.proof} {instance_id}".encode()


def register(
    redis: Redis, trust: Trust, request: RegistrationRequest, *, address: str, before_use: Callable[[], None]
) -> Registered:
    """Register a machine.

    Everything is checked before a use is taken; a request that broke off after that is completed by its repetition.
    ``before_use`` is called when only the use itself is left to be asked for, and may refuse.

    Raises:
        WrongCode: a guess, or a code mistyped.
        Refused, RequestInvalid: with a code that says which rule is against it.
        RedisRefused: our Redis user may not manage users.
    """
    stored = _proven(redis, request)
    activation = stored.activation
    _check_words(request, activation)
    _check_address(activation, address)
    before_use()
    use = _Use(
        activation=activation,
        machine=registration_digest("machine", request.machine_id),
        proof=registration_digest("proof", request.client_token),
    )
    turn = registration_turn(activation.activation_id, use.machine)
    # The master key is asked for first: without one nothing can be given, and no use should be lost for that.
    master = trust.master
    if not activations.is_trusted(request.activation_id, activation, master):
        raise _untrusted(
            "this activation was changed in Redis since it was made, or made without the master key or by a release "
            "that did not seal them"
        )
    instance_id = new_id(INSTANCE_ID_PREFIX)
    if redis.call("SET", turn, instance_id, "NX", "PX", _TURN_MS) is None:
        raise Refused(
            "another registration of this machine is under way; try again in a moment", code="IdempotentProcessing"
        )
    try:
        taken = take_activation(
            redis,
            activation.activation_id,
            machine=use.machine,
            proof=use.proof,
            instance_id=instance_id,
            uses_count=activation.instance_count,
            ends_ms=activation.ends_ms,
            another=request.force_new,
            seal=master.seal(_PURPOSE, use.leading_to(instance_id)),
        )
        if taken.word in _REFUSALS:
            raise _refused(taken.word)
        if not master.is_sealed(_PURPOSE, use.leading_to(taken.instance_id), taken.seal):
            raise _untrusted("which instance this machine has was changed in Redis")
        return _completed(redis, trust, use, taken, request.name)
    finally:
        # Another request has the turn once our time is over.
        if redis.call("GET", turn) == instance_id.encode():
            redis.call("DEL", turn)


def _refused(word: str) -> Refused:
    code, text = _REFUSALS[word]
    return Refused(text, code=code)


def _untrusted(what: str) -> Refused:
    return Refused(f"{what}; ask for another activation", code="Activation.NotTrusted")


def _completed(redis: Redis, trust: Trust, use: _Use, taken: Taken, wanted_name: str) -> Registered:
    """Make the instance of a use, unless it is there, and give its machine credentials."""
    activation = use.activation
    found = instances.load_all(redis, [taken.instance_id])[0]
    name = found.name if found is not None else wanted_name or _numbered(activation, taken.number)
    facts = {"ActivationId": activation.activation_id, "InstanceName": name}
    with trust.auditing.change("RegisterInstance", what=taken.instance_id, **facts):
        if found is None:
            came_by = {
                "activation_id": activation.activation_id,
                "activation_machine": use.machine,
                "resource_group_id": activation.resource_group_id,
            }
            instances.add(redis, taken.instance_id, name=name, tags=activation.tags, activation=came_by)
        else:
            instances.index_tags(redis, taken.instance_id)
        issued = trust.issue_credentials(taken.instance_id, for_registration=True)
        if not activations.has_use(redis, activation.activation_id, use.machine, use.proof, taken.instance_id):
            # Meanwhile an operator has replaced its credentials, or let it go, to keep this machine out.
            if found is None and activations.has_no_use(redis, activation.activation_id, use.machine):
                # It was let go before it was made here, and nobody has what we have just given it.
                trust.let_go(taken.instance_id)
            raise _refused("known")
    return Registered(instance_id=taken.instance_id, instance_name=name, issued=issued, again=taken.word == "again")


def _proven(redis: Redis, request: RegistrationRequest) -> StoredActivation:
    """Find the activation; an unknown id costs the same as a wrong code and gets the same answer."""
    given = activations.code_digest(request.activation_code)
    try:
        stored = activations.load(redis, request.activation_id[:64])
    except (NotFound, RecordUnreadable):
        stored = None
    kept = stored.activation.code_digest if stored is not None else "0" * len(given)
    if not hmac.compare_digest(kept.encode(), given.encode()) or stored is None:
        raise WrongCode("the activation id or its code is wrong; copy both again, or ask for another activation")
    return stored


def _check_words(request: RegistrationRequest, activation: Activation) -> None:
    for word, value in (("MachineId", request.machine_id), ("ClientToken", request.client_token)):
        if not _MARK.fullmatch(value):
            raise RequestInvalid(
                f"{word} must be 16 to 128 letters, digits, '.', '_' or '-'", code=f"Invalid{word}.Malformed"
            )
    if not request.name:
        return
    if not _NAME_CHARACTERS[0] <= len(request.name) <= _NAME_CHARACTERS[1]:
        raise RequestInvalid(f"the name has {len(request.name)} characters", code="InstanceName.ExceedLimit")
    activations.check_name(request.name)
    if not request.name.startswith(activation.instance_name):
        raise RequestInvalid(
            f"this activation is for instances whose names begin with {activation.instance_name!r}; leave the name out "
            "to be given one",
            code="InstanceName.InvalidPattern",
        )


def _check_address(activation: Activation, address: str) -> None:
    if not activation.address_range:
        return
    network = ipaddress.ip_network(activation.address_range, strict=False)
    if not address or ipaddress.ip_address(address) not in network:
        raise Refused(
            f"this activation is for machines in {activation.address_range}, and this request comes from "
            f"{address or 'an unknown address'}",
            code="Activation.AddressNotAllowed",
        )


def _numbered(activation: Activation, number: int) -> str:
    """The name of one instance of an activation; ``""`` lets the machine's own name stand."""
    if not activation.instance_name:
        return ""
    return f"{activation.instance_name}-{number:0{max(3, len(str(activation.instance_count)))}d}"
