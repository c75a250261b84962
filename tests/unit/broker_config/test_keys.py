"""The table of keys is what ARCHITECTURE.md sends people to: it names each key once, and none that there is not."""

import inspect
import re
from collections import Counter

from cloud_assistant.broker_config import keys


def documented() -> list[str]:
    table = [line for line in inspect.getdoc(keys).splitlines() if line.startswith("ca:")]  # type: ignore[union-attr]  # it has one
    # Places first: `<due ms>` holds a blank.
    return [re.sub(r"<[^>]*>", "*", line).split()[0].replace("{ID}", "{*}") for line in table]


def made() -> set[str]:
    found: set[str] = set()
    for name, value in vars(keys).items():
        if isinstance(value, str) and value.startswith(keys.PREFIX) and not name.startswith("_"):
            found.add(value)
        elif inspect.isfunction(value) and not name.startswith("_"):
            given = value(*["*"] * len(inspect.signature(value).parameters))
            found.add(given)
    return found - {keys.PREFIX, keys.instance_branch("*")}


def test_each_key_is_in_the_table_once() -> None:
    assert [name for name, count in Counter(documented()).items() if count > 1] == []
    without_value = {name for name in made() if name.startswith("ca:tag:")}
    assert set(documented()) - {"ca:tag:*:*=*"} == made() - without_value
