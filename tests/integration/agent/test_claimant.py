"""A claim that was made and whose answer never came is taken up by who made it, and by nobody else."""

from collections.abc import Iterator

import pytest
from integration.agent.operator_side import Operator

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import Claimed, claim_reply
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.worker.claimant import Claimant

ID = "i-one"


@pytest.fixture
def signing_operator(redis: Redis) -> Iterator[Operator]:
    control = Operator(redis.url, MasterKeys("k1", {"k1": b"m" * 32}))
    yield control
    control.close()


def claimant(epoch: str) -> Claimant:
    return Claimant(instance_id=ID, epoch=epoch, boot_id="b", report_margin_ms=1000)


def test_a_claim_whose_answer_was_lost_is_read_by_who_made_it_and_by_nobody_else(
    redis: Redis, signing_operator: Operator
) -> None:
    signing_operator.register(ID)
    execution = signing_operator.invoke_one("echo").id
    ours, another = claimant("this"), claimant("another")
    assert ours.lost_claim(redis, execution) is None, "nobody has claimed it"
    claimed = claim_reply(run(redis, ours.command(execution)))
    assert isinstance(claimed, Claimed)
    assert claimed.mac
    assert ours.lost_claim(redis, execution) == claimed
    assert another.lost_claim(redis, execution) is None
    redis.call("HSET", keys.execution(ID, execution), "state", "Stopping")
    assert ours.lost_claim(redis, execution) is None, "what is to stop does not begin"


def test_a_row_that_somebody_has_damaged_is_no_claim_or_one_that_nobody_signed(
    redis: Redis, operator: Operator
) -> None:
    operator.register(ID)
    execution, ours = operator.invoke_one("echo").id, claimant("this")
    run(redis, ours.command(execution))
    row = keys.execution(ID, execution)
    redis.call("HDEL", row, "mac", "key_id", "payload")
    damaged = ours.lost_claim(redis, execution)
    assert damaged is not None
    assert (damaged.mac, damaged.key_id, damaged.payload) == (b"", "", b"")
    redis.call("HDEL", row, "envelope")
    assert ours.lost_claim(redis, execution) is None
