"""``assist timed …``: which verbs there are; the other ``timed_…`` modules hold them."""

from ..assist_command import AssistGroup
from .timed_changing import modify, pause, resume, stop
from .timed_looking import list_timed, preview, show

group = AssistGroup(
    "timed",
    help="""List, preview, pause, change and stop timed invocations.

    `assist run` and `assist invoke` make them, with --frequency or --repeat-mode; `assist invocation history` and
    `results` tell what came of them.
    """,
)

for _command in (list_timed, show, preview, pause, resume, stop, modify):
    group.add_command(_command)
