"""A producer dies in the middle of its work, and so does a beat."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults.scene import Scene
from faults.scripts import QUICK

from cloud_assistant.broker_config import ids, keys
from cloud_assistant.broker_config.errors import RedisUnreachable, Refused
from cloud_assistant.broker_config.ledger import load_invocation, load_rows, load_targets, status_of
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant, Targets
from harness.eventually import eventually
from harness.processes import clean_environment
from harness.redis_server import RedisServer
from harness.system import System
from harness.tcp_proxy import TcpProxy

_KILLED_PRODUCER = Path(__file__).with_name("killed_producer.py")
_TARGET_COUNT = 1000


def kill_producer(redis_url: str, home: Path, script: str, *, calls_before_death: int) -> None:
    """Run a producer that dies when it makes one call more than this."""
    home.mkdir()
    outcome = subprocess.run(
        [sys.executable, _KILLED_PRODUCER, redis_url, script, str(calls_before_death)],
        env=clean_environment(home),
        cwd=home,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert outcome.returncode == -9, outcome.stderr.decode()


def test_a_producer_killed_half_way_through_1000_targets_is_completed_and_each_has_an_end(
    quick_system: System, scene: Scene, redis_server: RedisServer, tmp_path: Path
) -> None:
    quick_system.start_agent()
    away = [f"i-away{number:04d}" for number in range(_TARGET_COUNT - 1)]
    scene.register(*away)
    kill_producer(redis_server.url(), tmp_path / "producer", scene.traces.text(QUICK), calls_before_death=2)
    invoke_id = scene.redis.call("ZRANGE", keys.INVOCATIONS, 0, -1)[0].decode()
    targets = load_targets(scene.redis, invoke_id)
    assert len(targets) == _TARGET_COUNT
    wanted = [(one, ids.execution_id(invoke_id, 0, one)) for one in targets]
    written_count = sum(row is not None for row in load_rows(scene.redis, wanted))
    assert 0 < written_count < _TARGET_COUNT

    quick_system.start_beat()

    def is_over() -> bool:
        status = status_of(scene.redis, load_invocation(scene.redis, invoke_id))
        return sum(status.counts.values()) == _TARGET_COUNT and "Pending" not in status.counts

    eventually(is_over, 40, "each target has its end", every_seconds=0.2)
    rows = {row.instance_id: row for row in load_rows(scene.redis, wanted) if row}
    assert len(rows) == _TARGET_COUNT
    for one in away:
        assert rows[one].state == "Aborted"
        assert rows[one].outcome.error_code
    own = rows["i-one"]
    assert own.state in ("Success", "Aborted")
    assert scene.traces.of(own.execution_id).start_count == (1 if own.state == "Success" else 0)


def test_a_producer_killed_before_its_first_call_leaves_nothing(
    quick_system: System, scene: Scene, redis_server: RedisServer, tmp_path: Path
) -> None:
    quick_system.start_agent()
    kill_producer(redis_server.url(), tmp_path / "producer", scene.traces.text(QUICK), calls_before_death=0)

    assert scene.redis.call("EXISTS", keys.INVOCATIONS) == 0
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()


def test_a_request_whose_answer_was_lost_is_not_done_twice_with_one_client_token(
    quick_system: System, scene: Scene, redis_server: RedisServer
) -> None:
    quick_system.start_agent()
    script, targets = scene.traces.text(QUICK), Targets(instance_ids=["i-one"])
    with TcpProxy(redis_server.port) as line, ThreadPoolExecutor(1) as pool:
        url = f"redis://127.0.0.1:{line.port}/0"
        with Assistant(url, settings=Settings()) as assistant:
            line.set_delay_ms(200)
            asked = pool.submit(assistant.run_command, script, targets, client_token="once")
            eventually(lambda: scene.redis.call("EXISTS", keys.INVOCATIONS), 10, "it took effect", every_seconds=0.01)
            line.cut()
            with pytest.raises(RedisUnreachable):
                asked.result(10)
            line.heal()
            line.set_delay_ms(0)
            with pytest.raises(Refused, match="may have taken effect"):
                assistant.run_command(script, targets, client_token="once")

    eventually(lambda: [one.end_count for one in scene.traces.all().values()] == [1], 10, "it ran")
    assert scene.redis.call("ZCARD", keys.INVOCATIONS) == 1
    (token,) = scene.redis.call("KEYS", "ca:token:*")
    assert scene.redis.call("PTTL", token) > 3_600_000, "a repeat is refused for as long as a token is remembered"
