"""``assist invocation …``: which verbs there are; the other ``invocation_…`` modules hold them."""

from ..assist_command import AssistGroup
from .invocation_create import create
from .invocation_following import follow, stop
from .invocation_results import results
from .invocation_showing import list_invocations, show
from .invocation_verifying import verify
from .timed_looking import history

group = AssistGroup("invocation", help="Invoke commands; follow, show and stop invocations.")

for _command in (create, list_invocations, show, results, history, follow, stop, verify):
    group.add_command(_command)
