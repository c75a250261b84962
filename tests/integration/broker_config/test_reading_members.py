"""The sets in which an instance's executions are entered, read past whatever its agent has put among them."""

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.reported import read_last_score_command, read_members_command

from .conftest import Ledger

HISTORY = keys.instance_history("i-1")


def put(ledger: Ledger, *names: str) -> None:
    """Enter names, each with its place as its score."""
    for score, name in enumerate(names, 1):
        ledger.redis.call("ZADD", HISTORY, score, name)


def read(ledger: Ledger, *, count: int = 10, **wanted: int | str) -> list[bytes]:
    found: list[bytes] = run(ledger.redis, read_members_command(HISTORY, count=count, **wanted))  # type: ignore[arg-type]
    return found


def test_names_are_read_up_to_a_score_and_a_number(ledger: Ledger) -> None:
    put(ledger, "a", "b", "c", "d")
    assert read(ledger) == [b"a", b"b", b"c", b"d"]
    assert read(ledger, up_to=3) == [b"a", b"b", b"c"]
    assert read(ledger, count=2) == [b"a", b"b"]
    assert read(ledger, up_to=0) == []
    assert run(ledger.redis, read_members_command(keys.instance_history("i-2"), count=9)) == []


def test_of_those_that_are_looked_at_the_wanted_ones_are_answered(ledger: Ledger) -> None:
    put(ledger, "t-1.a", "t-2.a", "t-1.b", "t-1")
    assert read(ledger, beginning="t-1.") == [b"t-1.a", b"t-1.b"]
    assert read(ledger, beginning="t-1.", count=2) == [b"t-1.a"]


def test_what_is_too_long_for_a_name_is_removed_and_counts_among_those_looked_at(ledger: Ledger) -> None:
    put(ledger, "a", "x" * 257, "y" * 256, "z" * 1000, "b")
    assert read(ledger, count=3) == [b"a", b"y" * 256]
    assert ledger.redis.call("ZCARD", HISTORY) == 4
    assert read(ledger) == [b"a", b"y" * 256, b"b"]
    assert ledger.redis.call("ZCARD", HISTORY) == 3


def test_the_last_score_is_the_greatest(ledger: Ledger) -> None:
    assert run(ledger.redis, read_last_score_command(HISTORY)) == b""
    put(ledger, "a", "b")
    assert run(ledger.redis, read_last_score_command(HISTORY)) == b"2"
