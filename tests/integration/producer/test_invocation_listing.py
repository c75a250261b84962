"""A page of invocations is read together, and shows of each what it shows alone."""

from collections.abc import Sequence
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.cli import main
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations import invocation_batches
from cloud_assistant.producer.invocations.describing import DescribedInvocation, InvocationFilter, describe_invocations
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.visibility import EVERYTHING, Visible
from harness.redis_server import RedisServer

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
ON_ALL = Targets(everything=True)


class Asked:
    """Counts the round trips to Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        pipeline = Redis.pipeline

        def counted(redis: Redis, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[object]:
            self.count += bool(commands)
            return pipeline(redis, commands, timeout_seconds=timeout_seconds)

        monkeypatch.setattr(Redis, "pipeline", counted)

    def by(self, assistant: Assistant, wanted: InvocationFilter) -> int:
        before = self.count
        assistant.describe_invocations(wanted, PageRequest(), with_rows=True)
        return self.count - before


def every_kind(assistant: Assistant, agent: AgentStandIn) -> list[str]:
    """Invocations whose states have to be found in different ways; their ids, newest first."""
    waiting = assistant.run_command("true", ON_ALL).invoke_id
    half = assistant.run_command("true", ON_ALL).invoke_id
    agent.run(half, "i-1", state="Failed", exit_code=3)
    ended = assistant.run_command("true", ON_ALL).invoke_id
    agent.run(ended, "i-1", "i-2", "i-3")
    settled = assistant.run_command("true", ON_1).invoke_id
    agent.run(settled, "i-1")
    assistant.describe_invocations(InvocationFilter(invoke_id=settled), PageRequest(), with_rows=False)
    yearly = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 *"))
    timed = assistant.run_command("true", ON_ALL, yearly).invoke_id
    return [timed, settled, ended, half, waiting]


def shown(one: DescribedInvocation) -> object:
    """All but whether the roll-up is stored by now, which any reader may do."""
    return one.stored.record, one.status.state, one.status.counts, one.legacy_status, list(one.rows)


@pytest.mark.parametrize("most_rows_at_once", [1, 4, 1_000])
@pytest.mark.parametrize("visible", [EVERYTHING, Visible("one", instance_ids=["i-2"])], ids=["all", "i-2 only"])
@pytest.mark.parametrize("instance_id", ["", "i-2"])
def test_a_page_shows_of_each_what_it_shows_alone(
    assistant: Assistant,
    agent: AgentStandIn,
    monkeypatch: pytest.MonkeyPatch,
    most_rows_at_once: int,
    visible: Visible,
    instance_id: str,
) -> None:
    ids = every_kind(assistant, agent)

    def alone(invoke_id: str) -> object:
        wanted = InvocationFilter(invoke_id=invoke_id, instance_id=instance_id, visible=visible)
        (found,) = assistant.describe_invocations(wanted, PageRequest(), with_rows=True).items
        return shown(found)

    monkeypatch.setattr(invocation_batches, "_TOGETHER_COUNT", most_rows_at_once)
    wanted = InvocationFilter(instance_id=instance_id, visible=visible)
    page = assistant.describe_invocations(wanted, PageRequest(), with_rows=True)

    listed = [one.stored.record.invoke_id for one in page.items]
    # An instance's history does not name what it never had to run; a limited key does not see what others ran alone.
    timed, settled, *rest = ids
    has_timed, has_settled = not instance_id, not instance_id and visible is EVERYTHING
    assert listed == [*[timed][:has_timed], *[settled][:has_settled], *rest]
    assert [shown(one) for one in page.items] == [alone(one) for one in listed]


def test_ten_invocations_cost_no_more_round_trips_than_one(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = assistant.run_command("true", ON_ALL).invoke_id
    asked = Asked(monkeypatch)
    one = asked.by(assistant, InvocationFilter())
    for _ in range(9):
        assistant.run_command("true", ON_ALL)
    assert asked.by(assistant, InvocationFilter()) == one <= 5
    assert asked.by(assistant, InvocationFilter(invoke_id=only)) < one


def test_a_limit_of_output_counts_only_what_may_be_seen(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_ALL).invoke_id
    for one, size_bytes in (("i-1", 1_000), ("i-2", 10)):
        row = keys.execution(one, execution_id(invoke_id, 0, one))
        assistant.redis.call("HSET", row, "state", "Success", "output", "x" * size_bytes)

    def described(visible: Visible) -> int:
        wanted = InvocationFilter(invoke_id=invoke_id, visible=visible)
        page = describe_invocations(
            assistant.redis, wanted, PageRequest(), with_rows=True, with_output=True, most_output_bytes=100
        )
        return sum(len(row.outcome.output.data) for one in page.items for row in one.rows)

    with pytest.raises(RequestInvalid, match="has 1010 bytes"):
        described(EVERYTHING)
    assert described(Visible("one", instance_ids=["i-2"])) == 10
    assert described(Visible("none", instance_ids=[])) == 0


def test_a_limit_of_output_counts_all_of_an_answer_however_it_is_read(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        row = keys.execution("i-1", execution_id(assistant.run_command("true", ON_ALL).invoke_id, 0, "i-1"))
        assistant.redis.call("HSET", row, "state", "Success", "output", "x" * 40)

    def described_count(page: PageRequest) -> int:
        wanted = InvocationFilter(instance_id="i-1")
        found = describe_invocations(assistant.redis, wanted, page, with_rows=True, most_output_bytes=100)
        return len(found.items)

    for most_rows_at_once in (1, 1_000):
        monkeypatch.setattr(invocation_batches, "_TOGETHER_COUNT", most_rows_at_once)
        with pytest.raises(RequestInvalid, match="has 120 bytes"):
            described_count(PageRequest())
        assert described_count(PageRequest(size=2)) == 2


def test_a_limited_key_finds_invocations_by_the_state_that_it_is_shown(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("true", ON_ALL).invoke_id
    agent.run(invoke_id, "i-1", "i-3", state="Failed", exit_code=1)
    agent.run(invoke_id, "i-2")
    only = Visible("one", instance_ids=["i-2"])
    for visible, shown_as in ((EVERYTHING, "PartialFailed"), (only, "Success")):
        for word in ("PartialFailed", "Success"):
            found = assistant.describe_invocations(InvocationFilter(status=word, visible=visible), with_rows=True).items
            assert [one.status.state.value for one in found] == [shown_as] * (word == shown_as)


def test_every_filter_counts_beside_an_instance(
    assistant: Assistant, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = assistant.run_command("true", ON_1, name="disk")
    right: dict[str, Any] = {
        "command_id": made.command_id,
        "command_name": "d*",
        "command_type": "RunShellScript",
        "repeat_mode": "Once",
        "timed": False,
        "status": "Pending",
    }

    def is_found(**asked: Any) -> bool:
        found = assistant.describe_invocations(InvocationFilter(instance_id="i-1", **asked)).items
        return [one.stored.record.invoke_id for one in found] == [made.invoke_id]

    wrong = ("c-other", "e*", "RunBatScript", "Period", True, "Success")
    for name, value in zip(right, wrong, strict=True):
        assert is_found(**right)
        assert not is_found(**{**right, name: value}), name
        assert not is_found(**{**right, name: value}, invoke_id=made.invoke_id), name
    for name, is_shown in (("disk", True), ("other", False)):
        typed = ["--instance", "i-1", "--name", name, "--type", "RunShellScript"]
        assert main(["invocation", "list", *typed, "--redis-url", redis_server.url()]) == 0
        assert (made.invoke_id in capsys.readouterr().out) == is_shown
