"""Redis dies, hangs, forgets, moves or is full while agents work."""

from pathlib import Path

import pytest
from faults.agents import QUICK as QUICK_SETTINGS
from faults.scene import REDIS_TROUBLE, Scene
from faults.scripts import CHATTY, FAILING, GATED, LONG, QUICK

from cloud_assistant.broker_config import keys
from harness.eventually import always, eventually
from harness.redis_server import RedisServer
from harness.sentinel import SentinelGroup
from harness.system import System


def test_redis_killed_and_restarted_loses_nothing_it_has_confirmed(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    quick_system.start_agent()
    names = [scene.ask(script) for script in (GATED, LONG, QUICK, FAILING, CHATTY)]
    scene.wait_for_start(names[0])
    redis_server.kill()
    scene.traces.go.touch()
    eventually(lambda: scene.traces.of(names[0]).end_count == 1, 10, "the script ends without Redis")
    redis_server.start()

    assert scene.wait(names[0]).outcome.exit_code == GATED.exit_code
    scene.settle()


def test_redis_killed_again_and_again_loses_nothing(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    quick_system.start_agent()
    names = []
    for script in (QUICK, LONG, FAILING, CHATTY):
        names += [scene.ask_until_taken(script) for _ in range(3)]
        redis_server.kill()
        redis_server.start()
    for name in names:
        scene.wait(name)
    scene.settle()


def test_redis_that_comes_back_empty_gets_the_true_result_and_no_second_run(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    quick_system.start_agent()
    name = scene.ask(GATED)
    scene.wait_for_start(name)
    redis_server.restart_empty()
    scene.traces.go.touch()

    row = scene.wait(name)
    assert (row.state, row.outcome.exit_code) == ("Failed", GATED.exit_code)
    scene.push_again(name, 5)
    # Nobody but the agent can tell an empty Redis that there is such an instance.
    eventually(lambda: scene.redis.call("ZSCORE", keys.INSTANCES, "i-one"), 10, "the instance is registered again")
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()


def test_redis_restored_from_an_older_copy_starts_nothing_again(quick_system: System, scene: Scene) -> None:
    scene.register("i-one")
    name = scene.ask(QUICK)
    row_key = keys.execution("i-one", name)
    older_copy = scene.redis.call("DUMP", row_key)
    agent = quick_system.start_agent()
    deadline_ms = scene.wait(name).deadline_ms
    # A new process: nothing is left of the execution but the journal.
    agent.sigkill()
    quick_system.start_agent()

    scene.redis.pipeline_or_raise(
        [
            ("RESTORE", row_key, 0, older_copy, "REPLACE"),
            ("ZADD", keys.open_executions("i-one"), deadline_ms, name),
        ]
    )
    # Redis had taken the result and has lost it.
    scene.broken_on_purpose.add(name)
    scene.push_again(name, 3)
    scene.wait(name)
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()


def test_a_claim_that_redis_lost_and_gave_up_is_replaced_by_the_true_result(quick_system: System, scene: Scene) -> None:
    scene.register("i-one")
    name = scene.ask(GATED, deliver_within_seconds=3)
    row_key = keys.execution("i-one", name)
    older_copy = scene.redis.call("DUMP", row_key)
    quick_system.start_agent()
    scene.wait_for_start(name)
    # A failover, or a crash: Redis is where it was before the claim.
    scene.redis.call("RESTORE", row_key, 0, older_copy, "REPLACE")
    quick_system.start_beat(environment={"CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.3"})
    given_up = scene.wait_for_state(name, "Aborted")
    assert given_up.outcome.error_code == "DeliveryTimeout"
    scene.traces.go.touch()

    row = scene.wait_for_state(name, "Failed")
    assert row.outcome.exit_code == GATED.exit_code
    assert [one.split(" ", 1)[1] for one in row.history] == ["Aborted DeliveryTimeout"]
    scene.settle()


def test_a_redis_that_hangs_for_ten_seconds_is_waited_for(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    agent = quick_system.start_agent()
    names = [scene.ask(GATED), scene.ask(LONG)]
    scene.wait_for_start(names[0])
    redis_server.hang()
    scene.traces.go.touch()
    always(lambda: agent.is_running, 10, "the agent stays")
    redis_server.resume()

    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()


def test_results_wait_while_redis_has_no_memory(quick_system: System, scene: Scene, redis_server: RedisServer) -> None:
    agent = quick_system.start_agent()
    names = [scene.ask(GATED), scene.ask(LONG)]
    for name in names:
        scene.wait_for_start(name)
    redis_server.cli("CONFIG", "SET", "maxmemory", "1")
    scene.traces.go.touch()
    agent.wait_for_line("OOM", 10)
    with pytest.raises(REDIS_TROUBLE):
        scene.ask(QUICK)
    redis_server.cli("CONFIG", "SET", "maxmemory", "0")

    assert scene.wait(names[0]).outcome.exit_code == GATED.exit_code
    scene.settle()


def test_output_flood_during_an_outage_is_kept_within_its_limit(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    agent = quick_system.start_agent()
    names = [scene.ask(GATED)]
    scene.wait_for_start(names[0])
    held = [scene.ask(CHATTY) for _ in range(12)]
    redis_server.kill()
    rss_before_bytes = agent.rss_bytes
    scene.traces.go.touch()
    eventually(lambda: scene.traces.of(names[0]).end_count == 1, 10, "the script ends")
    redis_server.start()
    for name in held:
        assert scene.wait(name).outcome.output.dropped_bytes > 0
    scene.settle()
    assert agent.rss_bytes - rss_before_bytes < 20 * 1024 * 1024


@pytest.mark.slow
def test_a_failover_by_sentinel_loses_nothing_that_reached_the_replica(tmp_path: Path) -> None:
    with SentinelGroup(tmp_path / "group") as group:
        system = System(tmp_path / "system", group.url(), QUICK_SETTINGS)
        scene = Scene(tmp_path / "traces", group.url(), system.folder)
        try:
            system.start_agent()
            running = scene.ask(GATED)
            scene.wait_for_start(running)
            scene.wait(scene.ask(QUICK))
            # What is to survive must have reached the replica: replication is asynchronous, and Redis says so.
            assert scene.redis.call("WAIT", 1, 2000) == 1
            former = group.kill_master()
            scene.traces.go.touch()
            group.wait_for_failover(former)

            assert scene.wait(running).outcome.exit_code == GATED.exit_code
            later = scene.ask(QUICK)
            assert scene.wait(later).state == "Success"
            scene.settle()
        finally:
            scene.close()
            system.stop()
