"""Each target's envelope is signed with the key that this target holds, and a target in quarantine gets none."""

from collections.abc import Callable
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.chain import AuditChain, Send
from cloud_assistant.broker_config.audit.entry import AuditEntry, Outcome, Who
from cloud_assistant.broker_config.dispatch import CHUNK_COUNT, Dispatched, Dispatcher
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.security import signing
from cloud_assistant.broker_config.security.envelope_signing import open_secrets

from .conftest import MASTER, Ledger


def test_an_instance_that_got_another_key_gets_signatures_of_that_one(ledger: Ledger) -> None:
    ledger.redis.call("HSET", keys.KEY_IDS, "i-2", "k1.4")
    invocation = ledger.dispatch("i-1", "i-2")
    for instance_id, key_id in (("i-1", "k1"), ("i-2", "k1.4")):
        claimed = ledger.claim(invocation, instance_id)
        assert isinstance(claimed, Claimed)
        assert signing.parse_signature(claimed.mac).key_id == key_id
        key = MASTER.instance_key(instance_id, key_id)
        assert signing.verify(key, instance_id, claimed.envelope, claimed.mac)


def test_a_key_whose_master_key_is_not_here_is_named_and_nothing_is_stored(
    ledger: Ledger, key_names: Callable[[], set[str]]
) -> None:
    ledger.redis.call("HSET", keys.KEY_IDS, "i-2", "k9")
    before = key_names()
    with pytest.raises(Refused, match="i-2 holds key k9"):
        ledger.dispatch("i-1", "i-2")
    assert key_names() == before


def test_a_key_that_was_changed_since_the_last_dispatch_is_signed_with_and_told_once(ledger: Ledger) -> None:
    """The first try with the key of before leaves nothing behind, neither an invocation nor an entry in the audit."""
    chain = AuditChain(ledger.redis, lambda: MASTER)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    for entry_count, (current, tries_count) in enumerate((("k1", 1), ("k1.4", 2), ("k1.4", 1), ("k1", 2)), start=1):
        ledger.redis.call("HSET", keys.KEY_IDS, "i-2", current)
        entry = AuditEntry(at_ms=1, who=Who(kind="local"), action="RunCommand", outcome=Outcome.DONE)
        invocation, order = ledger.build(2)
        tries = 0

        def enter(send: Send, entry: AuditEntry = entry) -> list[Any]:
            nonlocal tries
            tries += 1
            return chain.enter([entry], send)

        dispatcher.create(invocation, order, ["i-1", "i-2"], {"token": "CANARY"}, enter=enter)
        assert tries == tries_count
        assert ledger.redis.call("XLEN", keys.AUDIT) == entry_count
        assert ledger.redis.call("LLEN", keys.invocation_targets(invocation.invoke_id)) == 2
        for instance_id, key_id in (("i-1", "k1"), ("i-2", current)):
            claimed = ledger.claim(invocation, instance_id)
            assert isinstance(claimed, Claimed)
            key = MASTER.instance_key(instance_id, key_id)
            assert signing.verify(key, instance_id, claimed.envelope, claimed.mac)
            signature = signing.parse_signature(claimed.mac)
            assert signature.key_id == key_id
            assert open_secrets(key, instance_id, claimed.envelope, signature.sealed) == {"token": "CANARY"}


def test_many_targets_of_which_some_hold_other_keys_are_each_signed_with_their_own(ledger: Ledger) -> None:
    targets = [f"i-many-{number}" for number in range(CHUNK_COUNT + 5)]
    ledger.redis.pipeline_or_raise([("ZADD", keys.INSTANCES, 1, one) for one in targets])
    changed = (targets[1], targets[-1])
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    for generation in ("", ".4", ".5"):
        for one in changed if generation else ():
            ledger.redis.call("HSET", keys.KEY_IDS, one, f"k1{generation}")
        for some in (targets, targets[:CHUNK_COUNT]):
            invocation, order = ledger.build(len(some))
            assert dispatcher.create(invocation, order, some) == Dispatched(len(some), 0)
            for instance_id in (targets[0], targets[1], some[-1]):
                claimed = ledger.claim(invocation, instance_id)
                assert isinstance(claimed, Claimed)
                key_id = f"k1{generation}" if instance_id in changed else "k1"
                assert signing.parse_signature(claimed.mac).key_id == key_id


def test_secret_values_reach_each_target_encrypted_and_stay_nowhere_in_clear(ledger: Ledger) -> None:
    invocation, order = ledger.build(2)
    dispatcher = Dispatcher(ledger.redis, MASTER, queue_count=100)
    dispatcher.create(invocation, order, ["i-1", "i-2"], {"token": "CANARY"})
    opened = []
    for instance_id in ("i-1", "i-2"):
        claimed = ledger.claim(invocation, instance_id)
        assert isinstance(claimed, Claimed)
        sealed = signing.parse_signature(claimed.mac).sealed
        opened.append(open_secrets(MASTER.instance_key(instance_id), instance_id, claimed.envelope, sealed))
    assert opened == [{"token": "CANARY"}] * 2
    assert all(b"CANARY" not in ledger.redis.call("DUMP", name) for name in ledger.redis.call("KEYS", "*"))


def test_secret_values_without_a_master_key_are_refused_and_nothing_is_stored(ledger: Ledger) -> None:
    invocation, order = ledger.build(1)
    with pytest.raises(Refused, match="no master key"):
        Dispatcher(ledger.redis, None, queue_count=100).create(invocation, order, ["i-1"], {"token": "x"})
    assert not ledger.redis.call("EXISTS", keys.invocation(invocation.invoke_id))


def test_an_instance_in_quarantine_gets_no_message_and_a_result_that_says_so(ledger: Ledger) -> None:
    ledger.redis.call("HSET", keys.quarantine("i-2"), "reason", "seen twice")
    invocation = ledger.dispatch("i-1", "i-2")
    row = ledger.row(invocation, "i-2")
    assert (row.state, row.outcome.error_code) == ("Invalid", "InstanceQuarantined")
    assert ledger.redis.call("LLEN", keys.queue("i-2")) == 0
    assert ledger.row(invocation, "i-1").state == "Pending"
