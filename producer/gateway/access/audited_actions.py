"""Enter what an action of the API changes, or refuses, in the audit; and hold the caller to the limits of its key."""

from collections.abc import Mapping
from contextlib import suppress

from ....broker_config.audit.entry import Who
from ....broker_config.errors import CloudAssistantError
from ....broker_config.redis.client import Redis
from ....broker_config.security.signing import digest
from ...auditing import NAMED_COUNT, Auditing, Change, Request, acting_for, local_user, named_targets, shown
from ...security.caller import AccessKey
from ...validation import decode_base64
from ..actions.action import Action, Call, Fields, NotYet
from ..actions.idempotency import answer_given
from ..actions.instance_ids import instance_ids_of
from ..actions.parameters import Parameters
from ..api_errors import ApiError
from ..domain_errors import with_api_errors
from .scope_guard import ScopeGuard

READING = ("Describe", "List")
#: Their success is entered by the verb, in one step with the change.
_ENTERED_BY_THE_VERB = frozenset({"RunCommand", "InvokeCommand", "SendFile"})
#: What is in a piece counts only once the whole is published, and that is entered; its refusal is.
_PIECES = frozenset({"UploadFilePart"})
#: Where an entry's ``what`` is found: the first of these that the request has.
_IDS = ("InvokeId", "CommandId", "InstanceId", "ActivationId", "ResourceId.1", "InstanceId.1", "SettingType")
#: Where it is found in the answer of an action that makes something.
_MADE = ("CommandId", "ActivationId", "PackageId")
#: Parameters that say what was wanted, and can hold nothing secret.
_FACTS = (
    *("Name", "Type", "Username", "RepeatMode", "Frequency", "ResourceType", "InstanceName", "InstanceCount"),
    *("IpAddressRange", "TimeToLiveInHours"),
)


def is_reading(action: str) -> bool:
    """Tell whether an action changes nothing."""
    return action.startswith(READING)


def audited(action: Action, redis: Redis, auditing: Auditing, guard: ScopeGuard) -> Action:
    """Wrap an action: checked against the caller's limits, its change or refusal entered.

    A request that only gets its first answer again changes nothing, and is not entered.
    """

    def within_limits(call: Call) -> Fields | NotYet:
        guard.check(call)
        return action(call)

    allowed = with_api_errors(within_limits)

    def wrapped(call: Call) -> Fields | NotYet:
        if is_reading(call.action):
            return allowed(call)
        with acting_for(Request(who_of(call.caller, call.source), call.request_id)) as request:
            if call.action not in _ENTERED_BY_THE_VERB | _PIECES:
                change = _change_of(call)
                with suppress(ApiError, CloudAssistantError):
                    # What is refused here is refused below once more, and entered.
                    given = answer_given(redis, call)
                    if given is not None:
                        guard.check(call)
                        return given
                with auditing.change(change.action, what=change.what, digest=change.digest, **change.facts) as entered:
                    answer = allowed(call)
                    if not isinstance(answer, NotYet):
                        made = (answer.get(name) for name in _MADE)
                        entered.what = entered.what or next((str(one) for one in made if one), "")
                    return answer
            try:
                return allowed(call)
            except ApiError as error:
                # The verb has entered its own refusals.
                if error.http_status < 500 and not request.is_refused:
                    auditing.refused(_change_of(call), error.code)
                raise

    return wrapped


def who_of(caller: AccessKey, source: str) -> Who:
    """Who a caller is, as the audit says it; a call from this machine's own command line has no key."""
    if not caller.access_key_id:
        return local_user()
    return Who(kind="access-key", name=caller.access_key_id, role=caller.role, source=source)


def _change_of(call: Call) -> Change:
    values: Mapping[str, str] = call.parameters.business_values
    what = next((values[name] for name in _IDS if values.get(name)), "")
    facts = {name: values[name] for name in _FACTS if values.get(name)}
    facts = {**_lists_of(call.parameters, what), **facts}
    return Change(call.action, what[:128], _digest_of(call.action, values), facts)


def _lists_of(given: Parameters, what: str) -> dict[str, str]:
    """What a request names in lists: instances and other things beside the first, and tags, which decide on reach."""
    tags = {one.text("Key") or one.text("key"): one.text("Value", one.text("value")) for one in given.objects("Tag")}
    facts = {"Tags": shown(tags), "TagKeys": " ".join(given.list_of("TagKey")), "All": given.text("All")}
    resources = given.list_of("ResourceId")
    if len(resources) > 1:
        facts |= {"Resources": " ".join(resources[:NAMED_COUNT]), "ResourceCount": str(len(resources))}
    with suppress(ApiError):
        # Where they cannot be read, that is refused below.
        instances = instance_ids_of(given)
        if instances not in ([], [what]):
            facts |= named_targets(instances)
    return {name: value for name, value in facts.items() if value}


def _digest_of(action: str, values: Mapping[str, str]) -> str:
    """The digest of the content as it would be run; of what came, where that cannot be read."""
    text = values.get("CommandContent") or values.get("Content") or ""
    if not text or action == "ModifyCommand":
        # That one changes no content, whatever comes with it.
        return ""
    encoding = (values.get("ContentEncoding") or values.get("ContentType") or "").lower()
    if encoding == "base64" or (action == "CreateCommand" and encoding != "plaintext"):
        with suppress(CloudAssistantError):
            return digest(decode_base64(text))
    return digest(text.encode())
