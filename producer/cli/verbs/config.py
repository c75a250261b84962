"""``assist config …``."""

import textwrap

from ....broker_config.programs.printable import clean
from ....broker_config.settings import environment_name
from ..assist_command import AssistGroup, assist_command
from ..call import Call
from ..printing.terminal import WIDTH_COLUMNS
from ..printing.text_cells import pad

group = AssistGroup("config", help="Show the settings and where each comes from.")


@assist_command("show", examples=("assist config show", "assist config show --output json"))
def show(call: Call) -> None:
    """Show each setting: its value, where that comes from, and what it is for. Secrets are masked."""
    rows = call.loaded.shown()
    if call.wants_json:
        call.print_json(
            [
                {
                    "Name": one.name,
                    "Value": one.value,
                    "Source": one.source,
                    "Environment": environment_name(one.name),
                    "Help": one.help,
                }
                for one in rows
            ]
        )
        return
    width = max(len(one.name) for one in rows)
    for one in rows:
        call.print(f"{pad(one.name, width)}  {clean(one.value) or '-'}  ({clean(one.source)})")
        for line in textwrap.wrap(one.help, WIDTH_COLUMNS - width - 2):
            call.print(f"{'':{width}}  {line}")


group.add_command(show)
