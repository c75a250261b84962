"""The Python API on a real server."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import CloudAssistantError, WaitTimedOut
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.settings_table import LimitSettings, Settings
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.commands.command_library import CommandFilter
from cloud_assistant.producer.file_delivery import FileRequest
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.paging import PageRequest
from harness.eventually import eventually
from harness.redis_server import RedisServer

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
ON_ALL = Targets(everything=True)


def create(assistant: Assistant, name: str = "test", **more: object) -> str:
    return assistant.create_command(name=name, type="RunShellScript", content="echo 123", **more)  # type: ignore[arg-type]


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(CloudAssistantError) as caught:
        act()
    return caught.value.code


def test_a_command_is_stored_changed_listed_and_deleted(assistant: Assistant) -> None:
    command_id = create(assistant, description="says 123")
    assistant.modify_command(command_id, name="renamed", timeout_seconds=90)
    [stored] = assistant.describe_commands(CommandFilter(command_id=command_id)).items
    assert (stored.command.name, stored.command.timeout_seconds, stored.command.content) == ("renamed", 90, b"echo 123")
    assistant.delete_command(command_id)
    assert assistant.describe_commands(CommandFilter(command_id=command_id)).items == []
    assert code_of(lambda: assistant.delete_command(command_id)) == "InvalidCmdId.NotFound"
    assert code_of(lambda: assistant.modify_command(command_id, name="x")) == "InvalidCmdId.NotFound"


def test_a_command_in_use_cannot_be_deleted_until_its_invocation_has_ended(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    command_id = create(assistant)
    invoked = assistant.invoke_command(command_id, ON_1)
    assert code_of(lambda: assistant.delete_command(command_id)) == "InvalidStatus.CmdIdInUse"
    agent.run(invoked.invoke_id, "i-1")
    assistant.delete_command(command_id)


def test_a_full_library_refuses_another_command(redis_server: RedisServer) -> None:
    settings = replace(Settings(redis_url=redis_server.url()), limits=LimitSettings(commands_count=1))
    with Assistant(settings=settings) as small:
        create(small)
        assert code_of(lambda: create(small)) == "CmdCount.ExceedQuota"


def test_commands_are_listed_newest_first_in_both_page_styles(assistant: Assistant) -> None:
    made = [create(assistant, name=f"c{number}") for number in range(25)]
    by_number = [
        one.command.command_id
        for number in (1, 2, 3)
        for one in assistant.describe_commands(page=PageRequest(number=number, size=10)).items
    ]
    by_token, token = [], ""
    while True:
        page = assistant.describe_commands(page=PageRequest(max_results=7, next_token=token))
        by_token += [one.command.command_id for one in page.items]
        token = page.next_token
        if not token:
            break
    assert by_number == by_token
    assert set(by_number) == set(made)
    assert assistant.describe_commands().total_count == 25


def test_filters_of_the_command_list(assistant: Assistant) -> None:
    create(assistant, name="backup db", tags={"team": "a"})
    create(assistant, name="backup web")
    create(assistant, name="restart")

    def names(**wanted: object) -> set[str]:
        found = assistant.describe_commands(CommandFilter(**wanted)).items  # type: ignore[arg-type]
        return {one.command.name for one in found}

    assert names(name="backup*") == {"backup db", "backup web"}
    assert names(name="*web") == {"backup web"}
    assert names(name="backup") == set()
    assert names(tags={"team": "a"}) == {"backup db"}
    assert names(type="RunBatScript") == set()


def test_a_token_is_good_for_its_own_query_only(assistant: Assistant) -> None:
    for number in range(3):
        create(assistant, name=f"c{number}")
    token = assistant.describe_commands(page=PageRequest(max_results=1)).next_token

    def misuse() -> None:
        assistant.describe_commands(CommandFilter(name="c*"), PageRequest(max_results=1, next_token=token))

    assert code_of(misuse) == "InvalidParameter.NextToken"


def test_targets_are_found_by_id_by_tag_and_all(assistant: Assistant) -> None:
    def count(targets: Targets) -> int:
        return assistant.run_command("true", targets).target_count

    assert count(ON_1) == 1
    assert count(Targets(instance_ids=["i-1", "i-1"])) == 1
    assert count(Targets(tags={"env": "prod"})) == 2
    assert count(Targets(tags={"env": None})) == 3
    assert count(ON_ALL) == 3


@pytest.mark.parametrize(
    ("targets", "code"),
    [
        (Targets(), "MissingParam.InstanceId"),
        (Targets(instance_ids=["i-1"], everything=True), "InvalidResourceTag.ConflictWithInstanceIds"),
        (Targets(instance_ids=["web1"]), "InvalidInstance.NotFound"),
        (Targets(instance_ids=["i-1", "i-none"]), "InvalidInstance.NotFound"),
        (Targets(tags={"env": "none"}), "InvalidResourceTag.InstanceNotFound"),
    ],
)
def test_bad_targets_are_refused_and_nothing_is_created(assistant: Assistant, targets: Targets, code: str) -> None:
    assert code_of(lambda: assistant.run_command("true", targets)) == code
    assert assistant.describe_invocations().items == []


def test_waiting_gives_every_result_in_the_order_of_the_targets(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = assistant.run_command("echo 123", Targets(instance_ids=["i-3", "i-1", "i-2"]))
    worker = threading.Thread(target=agent.run, args=(invoked.invoke_id, "i-1", "i-2", "i-3"))
    worker.start()
    finished = assistant.wait(invoked.invoke_id, timeout_seconds=10)
    worker.join()
    assert [row.instance_id for row in finished.results] == ["i-3", "i-1", "i-2"]
    assert [row.outcome.output.data for row in finished.results] == [b"123\n"] * 3
    assert finished.status.state == "Success"


def test_a_second_process_may_wait_for_an_invocation_it_did_not_make(
    assistant: Assistant, agent: AgentStandIn, redis_server: RedisServer
) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    with Assistant(redis_server.url()) as other:
        results: list[str] = []
        waiter = threading.Thread(
            target=lambda: results.append(other.wait(invoked.invoke_id, timeout_seconds=10).status.state)
        )
        waiter.start()
        agent.run(invoked.invoke_id, "i-1", state="Failed", exit_code=3)
        waiter.join()
    assert results == ["Failed"]


def test_many_threads_wait_on_one_assistant_and_each_gets_its_own(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = [assistant.run_command("echo 123", ON_1).invoke_id for _ in range(10)]
    ended: list[str] = []
    waiters = [
        threading.Thread(target=lambda one=one: ended.append(assistant.wait(one, timeout_seconds=10).invoke_id))
        for one in invoked
    ]
    for waiter in waiters:
        waiter.start()
    for one in reversed(invoked):
        agent.run(one, "i-1")
    for waiter in waiters:
        waiter.join()
    assert sorted(ended) == sorted(invoked)


def test_a_wait_that_is_too_short_says_so_and_the_invocation_goes_on(assistant: Assistant) -> None:
    invoked = assistant.run_command("sleep 100", ON_1)
    with pytest.raises(WaitTimedOut, match=r"1 of 1 targets .* \(i-1\); they go on"):
        assistant.wait(invoked.invoke_id, timeout_seconds=0.1)
    [described] = assistant.describe_invocations(InvocationFilter(invoke_id=invoked.invoke_id)).items
    assert described.status.state == "Pending"


def test_a_wait_survives_a_restart_of_the_server(
    assistant: Assistant, agent: AgentStandIn, redis_server: RedisServer
) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    agent.claim(invoked.invoke_id, "i-1")
    states: list[str] = []
    waiter = threading.Thread(
        target=lambda: states.append(assistant.wait(invoked.invoke_id, timeout_seconds=20).status.state)
    )
    waiter.start()
    redis_server.restart()

    def report() -> bool:
        try:
            agent.finish(invoked.invoke_id, "i-1")
        except CloudAssistantError:
            return False
        return True

    eventually(report, 10, "the agent's report is taken")
    waiter.join()
    assert states == ["Success"]


def test_a_wait_that_begins_while_the_server_is_away_waits_for_it(
    assistant: Assistant, agent: AgentStandIn, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    agent.claim(invoked.invoke_id, "i-1")
    tries: list[None] = []
    call = assistant.redis.call

    def counted_call(*command: Argument, timeout_seconds: float | None = None) -> object:
        tries.append(None)
        return call(*command, timeout_seconds=timeout_seconds)

    redis_server.kill()
    monkeypatch.setattr(assistant.redis, "call", counted_call)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(assistant.wait, invoked.invoke_id, timeout_seconds=20)
        eventually(lambda: tries or waiting.done(), 10, "it asks for a server that is not there")
        redis_server.start()
        agent.finish(invoked.invoke_id, "i-1")
        assert waiting.result(20).status.state == "Success"


def test_several_waiters_for_one_invocation_all_hear_of_its_end(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    agent.claim(invoked.invoke_id, "i-1")
    states: list[str] = []
    started = threading.Barrier(4)

    def wait() -> None:
        started.wait()
        states.append(assistant.wait(invoked.invoke_id, timeout_seconds=10).status.state)

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    started.wait()
    agent.finish(invoked.invoke_id, "i-1")
    for waiter in waiters:
        waiter.join()
    assert states == ["Success"] * 3


def test_what_is_overdue_is_shown_with_its_reason_before_any_sweeper_wrote_it(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    row = keys.execution("i-1", execution_id(invoked.invoke_id, 0, "i-1"))
    assistant.redis.call("HSET", row, "deadline_ms", 1)
    finished = assistant.wait(invoked.invoke_id, timeout_seconds=10)
    assert finished.results[0].outcome.error_code == "ClientNotRunning"
    assert assistant.redis.call("HGET", row, "state") == b"Pending"


def test_what_no_beat_has_let_go_in_time_is_never_said_to_have_been_taken(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoked = assistant.run_command("echo 123", ON_ALL, RunOptions(at_once="2"))
    for instance_id in ("i-1", "i-2"):
        agent.run(invoked.invoke_id, instance_id)
    row = keys.execution("i-3", execution_id(invoked.invoke_id, 0, "i-3"))
    assert assistant.redis.call("HGET", row, "state") == b"Scheduled"
    assistant.redis.call("HSET", row, "deadline_ms", 1)
    waited = assistant.wait(invoked.invoke_id, timeout_seconds=10)
    assert waited.status.counts == {"Success": 2, "Aborted": 1}
    [held_back] = [one for one in waited.results if one.instance_id == "i-3"]
    assert held_back.outcome.error_code == "DeliveryTimeout"
    assert "the script did not start" in held_back.outcome.error_info


def test_a_stop_cancels_what_waits_and_asks_for_what_runs(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = assistant.run_command("sleep 9", ON_ALL)
    agent.claim(invoked.invoke_id, "i-1")
    agent.run(invoked.invoke_id, "i-2")
    assert assistant.stop_invocation(invoked.invoke_id) == {"i-1": "Stopping", "i-3": "Cancelled"}
    assert code_of(lambda: assistant.stop_invocation(invoked.invoke_id, ["i-9"])) == "InvalidInstanceId.NotFound"
    assert code_of(lambda: assistant.stop_invocation("t-none")) == "InvalidInvokeId.NotFound"


def test_parameters_reach_the_text_when_enabled_and_the_environment_always(assistant: Assistant) -> None:
    invoked = assistant.run_command(
        "echo {{who}}", ON_1, RunOptions(parameters={"WHO": "it's me"}), enable_parameter=True
    )
    [described] = assistant.describe_invocations(InvocationFilter(invoke_id=invoked.invoke_id)).items
    assert described.stored.record.parameters == {"who": "it's me"}
    declared = assistant.run_command(
        'echo "$CA_PARAM_WHO"', ON_1, RunOptions(parameters={"who": "x"}), declared_parameters=["who"]
    )
    [described] = assistant.describe_invocations(InvocationFilter(invoke_id=declared.invoke_id)).items
    assert described.stored.record.parameters == {"who": "x"}


def test_a_content_that_grows_over_the_limit_by_its_parameters_is_refused(assistant: Assistant) -> None:
    def grow() -> None:
        assistant.run_command(
            "#" * 18_000 + "{{a}}", ON_1, RunOptions(parameters={"a": "x" * 1000}), enable_parameter=True
        )

    assert code_of(grow) == "CmdContent.ExceedLimit"


def test_invocations_are_listed_by_instance_command_and_status(assistant: Assistant, agent: AgentStandIn) -> None:
    command_id = create(assistant)
    first = assistant.invoke_command(command_id, ON_1)
    second = assistant.run_command("false", Targets(instance_ids=["i-2"]))
    agent.run(first.invoke_id, "i-1")

    def ids(**wanted: object) -> list[str]:
        found = assistant.describe_invocations(InvocationFilter(**wanted)).items  # type: ignore[arg-type]
        return [one.stored.record.invoke_id for one in found]

    assert ids() == [second.invoke_id, first.invoke_id]
    assert ids(instance_id="i-2") == [second.invoke_id]
    assert ids(command_id=command_id) == [first.invoke_id]
    assert ids(status="Success") == ids(status="Finished") == [first.invoke_id]
    assert ids(status="Running") == [second.invoke_id], "the older word covers what is pending"
    assert ids(invoke_id="t-none") == []


def test_results_are_paged_alike_by_number_by_token_and_over_all_invocations(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    for number in range(7):
        assistant.add_instance(f"i-more-{number}")
    invoked = [assistant.run_command("echo 123", ON_ALL).invoke_id for _ in range(2)]

    def walk(wanted: ResultFilter) -> list[tuple[str, str]]:
        found, token = [], ""
        while True:
            page = assistant.describe_invocation_results(wanted, PageRequest(max_results=3, next_token=token))
            found += [(one.row.invoke_id, one.row.instance_id) for one in page.items]
            token = page.next_token
            if not token:
                return found

    one = walk(ResultFilter(invoke_id=invoked[0]))
    by_number = [
        (result.row.invoke_id, result.row.instance_id)
        for number in range(1, 5)
        for result in assistant.describe_invocation_results(
            ResultFilter(invoke_id=invoked[0]), PageRequest(number=number, size=3)
        ).items
    ]
    assert one == by_number
    assert len(one) == 10
    assert walk(ResultFilter()) == walk(ResultFilter(invoke_id=invoked[1])) + one


def test_results_of_one_instance_come_newest_first(assistant: Assistant) -> None:
    made = [assistant.run_command("true", ON_1).invoke_id for _ in range(3)]
    assistant.send_file(FileRequest(name="n", target_directory="/tmp", content=b"c"), ON_1)
    wanted = ResultFilter(instance_id="i-1")
    page = assistant.describe_invocation_results(wanted)
    assert [one.row.invoke_id for one in page.items] == made[::-1], "a file is no result of a command"
    second = assistant.describe_invocation_results(wanted, PageRequest(number=2, size=2))
    assert ([one.row.invoke_id for one in second.items], second.total_count) == (made[:1], 3)
    by_token = assistant.describe_invocation_results(wanted, PageRequest(max_results=2))
    assert [one.row.invoke_id for one in by_token.items] == made[:0:-1]
    assert assistant.describe_invocation_results(wanted, PageRequest(number=9, size=2)).items == []


def test_a_long_history_is_counted_no_further_than_needed(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_assistant.producer.paging.FILTERED_COUNT_MAX", 3)
    made = [assistant.run_command("true", ON_1).invoke_id for _ in range(9)][::-1]

    def page(number: int) -> tuple[list[str], int]:
        found = assistant.describe_invocation_results(
            ResultFilter(instance_id="i-1"), PageRequest(number=number, size=2)
        )
        return [one.row.invoke_id for one in found.items], found.total_count

    assert page(1) == (made[:2], 4)
    assert page(3) == (made[4:6], 7)
    assert page(5) == (made[8:], 9)


def test_an_instance_is_renamed_retagged_and_removed(assistant: Assistant) -> None:
    assistant.modify_instance("i-1", name="web one", tags={"env": "test"})
    [shown] = assistant.describe_instances().items[-1:]
    assert (shown.instance_id, shown.name, shown.tags, shown.connected) == ("i-1", "web one", {"env": "test"}, False)
    assert assistant.run_command("true", Targets(tags={"env": "test"})).target_count == 2
    assistant.remove_instance("i-1")
    assert code_of(lambda: assistant.run_command("true", ON_1)) == "InvalidInstance.NotFound"
    assert code_of(lambda: assistant.add_instance("i-2")) == "InstanceAlreadyExists"
