"""``assist invocation verify``."""

import click

from ....broker_config.programs.counted import counted
from ...security.result_verification import BAD, Verdict
from ..assist_command import assist_command
from ..call import Call
from ..exit_codes import DONE, REFUSED
from ..printing.tables import print_table

_MEANING = {
    Verdict.VALID: "as its agent signed it",
    Verdict.CHANGED: "CHANGED since its agent signed it, or signed by somebody else",
    Verdict.UNSIGNED: "signed by nobody; an agent without credentials, or a forgery",
    Verdict.NO_RESULT: "ended by the control side: there is no result of an agent",
    Verdict.UNFINISHED: "not ended yet",
    Verdict.KEY_UNKNOWN: "signed with a key whose master key is not here any more",
}


@assist_command("verify", examples=("assist invocation verify t-…", "assist invocation verify t-… --output json"))
@click.argument("invoke_id", metavar="ID")
def verify(call: Call, *, invoke_id: str) -> int:
    """Check that results are what their agents signed and have not been changed in Redis since.

    Exit code 4 if at least one is not.
    """
    found = call.assistant.trust.verify_results(invoke_id)
    bad_count = sum(one.verdict in BAD for one in found)
    if call.wants_json:
        results = [
            {
                "InstanceId": one.instance_id,
                "InvocationStatus": one.state,
                "Verdict": one.verdict.value,
                "KeyId": one.key_id,
            }
            for one in found
        ]
        call.print_json({"InvokeId": invoke_id, "Verified": not bad_count, "Results": results})
    else:
        rows = [(one.instance_id, one.state, _MEANING[one.verdict], one.key_id) for one in found]
        print_table(call, ("INSTANCE", "STATE", "RESULT", "KEY"), rows)
    if bad_count:
        call.say(f"{bad_count:,} of {counted(len(found), 'result')} cannot be trusted")
    return REFUSED if bad_count else DONE
