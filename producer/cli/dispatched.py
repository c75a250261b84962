"""What follows a request that was dispatched: wait for its end, or say how to."""

from ...broker_config.states import InvocationState
from ..beat_presence import is_beat_at_work
from ..fleet.targets import Targets
from ..invocations import pacing
from ..invocations.invoked import Invoked
from ..invocations.invoking import RunOptions
from ..timed.modes import is_timed
from .call import Call
from .exit_codes import DONE
from .options.request_options import Waiting
from .printing.answers import invocation_object
from .watching import streams, watch


def before_dispatch(call: Call, targets: Targets, waiting: Waiting, options: RunOptions) -> None:
    """Begin to listen, beside the dispatch, where its end will be waited for: that saves round trips to Redis."""
    if waiting.wait and not is_timed(options.schedule):
        # How many others than these turn out to be is not known yet.
        call.assistant.listen_soon(live=streams(call, len(targets.instance_ids) or 1))


def after_dispatch(call: Call, invoked: Invoked, waiting: Waiting, options: RunOptions) -> int:
    """Wait if that is wanted, else name the invocation; answer the exit code. What runs later is never waited for."""
    call.note_dispatched(invoked.invoke_id)
    if options.at_once:
        _say_of_pacing(call, invoked.target_count, options)
    runs_later = is_timed(options.schedule)
    if waiting.wait and not runs_later:
        return watch(call, invoked.invoke_id, invoked.target_count, waiting.timeout_seconds)
    state, hint = InvocationState.PENDING, "dispatched; watch it with: assist invocation follow"
    if runs_later:
        state, hint = InvocationState.SCHEDULED, "it runs by itself; see when with: assist timed show"
    if call.wants_json:
        call.print_json(invocation_object(invoked.invoke_id, invoked.command_id, state, None))
    else:
        call.print(invoked.invoke_id)
        call.say(f"{hint} {invoked.invoke_id}")
    return DONE


def _say_of_pacing(call: Call, target_count: int, options: RunOptions) -> None:
    if pacing.of_request(options.at_once, options.stop_at, target_count, options.schedule) is None:
        if options.stop_at:
            call.say(
                f"--stop-at ends nothing here: --at-once {options.at_once} covers all that are chosen "
                f"({target_count:,}), so none of them waits"
            )
    elif not is_beat_at_work(call.assistant.redis, looks_count=3, lets_go=True):
        is_old = is_beat_at_work(call.assistant.redis, looks_count=1)
        who = "only a beat of an earlier release" if is_old else "no beat"
        call.say(f"{who} is at work: nothing runs beyond the first ones until assist-beat is started")
