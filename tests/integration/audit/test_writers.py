"""How one writer keeps its place at the end of the chain: what it remembers, how long it is patient, what it logs."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.chain import END, AuditChain
from cloud_assistant.broker_config.audit.entry import AuditEntry, Outcome, Who
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.functions.audit import append_audit_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

ENTRY = AuditEntry(at_ms=1, who=Who(kind="local", name="a"), action="Test", outcome=Outcome.DONE)


@pytest.fixture
def chain(redis: Redis) -> AuditChain:
    return AuditChain(redis, lambda: None)


def tries_of(redis: Redis, chain: AuditChain) -> list[list[Argument]]:
    """Enter something; what was tried for it."""
    tries: list[list[Argument]] = []

    def send(audit: list[Argument]) -> list[bytes]:
        tries.append(audit)
        reply: list[bytes] = run(redis, append_audit_command(audit))
        return reply

    assert chain.enter([ENTRY], send) == [b"ok"]
    return tries


def test_a_writer_waits_for_a_whole_turn_of_one_that_crashed_in_it(
    redis: Redis, chain: AuditChain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.append([ENTRY])
    until_ms = server_ms(redis) + 900
    redis.call("HSET", keys.AUDIT_HEAD, "turn", "crashed", "turn_until_ms", until_ms)
    tries = tries_of(redis, chain)
    assert server_ms(redis) >= until_ms
    # It does not keep Redis busy with that, either.
    assert len(tries) < 600
    assert "cut back" not in caplog.text


def test_a_writer_that_never_gets_its_place_is_refused_for_now(chain: AuditChain) -> None:
    with pytest.raises(RedisRefused) as refused:
        chain.enter([ENTRY], lambda _: [b"stale", b"0", b""])
    assert refused.value.is_passing


def test_each_writer_has_a_turn_of_its_own(redis: Redis, chain: AuditChain) -> None:
    [first], [second] = tries_of(redis, chain), tries_of(redis, AuditChain(redis, lambda: None))
    assert first[2] != second[2]


def test_a_change_that_was_refused_leaves_the_end_where_it_was(
    redis: Redis, chain: AuditChain, caplog: pytest.LogCaptureFixture
) -> None:
    chain.append([ENTRY])
    assert chain.enter([ENTRY], lambda _: [b"unknown", b"i-1"]) == [b"unknown", b"i-1"]
    assert chain.knows_its_end
    assert len(tries_of(redis, chain)) == 1
    assert "cut back" not in caplog.text


def test_an_end_that_was_read_earlier_is_not_taken_for_a_newer_one(redis: Redis, chain: AuditChain) -> None:
    read = redis.call(*END)
    chain.append([ENTRY])
    chain.note_end(read)
    assert len(tries_of(redis, chain)) == 1
