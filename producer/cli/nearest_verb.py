"""Which verb somebody means who used a word that is none."""

import difflib
from collections.abc import Sequence

#: Words of one sense, ours and those of other tools. What a word means counts before how it is spelt: by its letters
#: alone "update" is near "delete".
_ALIKE = (
    {"add", "create", "new"},
    {"delete", "remove", "rm", "uninstall"},
    {"cancel", "delete", "kill", "remove", "rm", "stop"},
    {"change", "edit", "modify", "set", "update"},
    {"describe", "get", "info", "show"},
    {"log", "logs", "output", "results"},
    {"exec", "execute", "run"},
    {"cron", "schedule", "schedules", "timed"},
)


def nearest_verb(word: str, verbs: Sequence[str]) -> str:
    """Find the verb of the same sense, else one that is spelt much alike; empty when there is neither."""
    same = [verb for alike in _ALIKE if word in alike for verb in verbs if verb in alike]
    return next(iter(same or difflib.get_close_matches(word, verbs, 1)), "")
