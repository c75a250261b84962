"""``assist timed …``: which verbs there are; the other ``timed_…`` modules hold them."""

from .assist_command import AssistGroup
from .timed_changing import modify, pause, resume, stop
from .timed_looking import list_timed, preview, show

group = AssistGroup("timed", help="List, preview, pause, change and stop timed invocations.")

for _command in (list_timed, show, preview, pause, resume, stop, modify):
    group.add_command(_command)
