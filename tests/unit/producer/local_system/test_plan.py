"""What the local system consists of."""

import socket
import threading
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable, SettingsInvalid
from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.settings_table import Value
from cloud_assistant.producer.local_system.home_folder import remember_addresses
from cloud_assistant.producer.local_system.options import UpOptions
from cloud_assistant.producer.local_system.plan import Plan, make_plan, uses_own_server
from cloud_assistant.producer.local_system.programs import answers
from harness.ports import reserve_port
from harness.redis_server import RedisServer


def plan(home: Path, options: UpOptions | None = None, **overrides: Value) -> Plan:
    given: dict[str, Value] = {"home": str(home), "gateway.port": 0, "flower.port": 0}
    given.update({name.replace("__", "."): value for name, value in overrides.items()})
    return make_plan(load(given), options or UpOptions(redis_port=reserve_port().number), home)


def test_without_a_named_redis_a_server_is_part_of_it(tmp_path: Path) -> None:
    made = plan(tmp_path, instance_id="i-one")
    assert made.server is not None
    assert made.programs[-1].name == "Flower"
    assert made.instance_id == "i-one"


def test_what_an_earlier_run_left_behind_is_no_named_redis(tmp_path: Path) -> None:
    remember_addresses(tmp_path, "redis://:old@127.0.0.1:1/0")
    assert uses_own_server(load({"home": str(tmp_path)}))
    assert not uses_own_server(load({"home": str(tmp_path), "redis_url": "redis://127.0.0.1:1/0"}))


def test_a_named_redis_is_used_instead(tmp_path: Path, redis_server: RedisServer) -> None:
    made = plan(tmp_path, UpOptions(), redis_url=redis_server.url())
    assert made.server is None
    assert made.redis_url == redis_server.url()


def test_a_named_redis_that_does_not_answer_is_told_with_where_it_was_named(tmp_path: Path) -> None:
    url = f"redis://:secret@127.0.0.1:{reserve_port().number}/0"
    with pytest.raises(RedisUnreachable, match="from command line") as unreachable:
        plan(tmp_path, UpOptions(), redis_url=url)
    assert "secret" not in str(unreachable.value)


def test_a_port_for_a_server_that_is_not_run_is_refused(tmp_path: Path, redis_server: RedisServer) -> None:
    with pytest.raises(SettingsInvalid, match="--redis-port"):
        plan(tmp_path, UpOptions(redis_port=6400), redis_url=redis_server.url())


def test_flower_and_the_agent_can_be_left_out(tmp_path: Path) -> None:
    options = UpOptions(redis_port=reserve_port().number, with_agent=False)
    made = plan(tmp_path, options, flower__enabled=False)
    assert "Flower" not in [program.name for program in made.programs]
    assert made.instance_id == ""


def test_a_server_that_still_reads_its_data_is_waited_for_and_one_that_will_not_have_us_is_told(
    redis_server: RedisServer,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def load_data() -> None:
            line, _ = listener.accept()
            with line:
                while asked := line.recv(4096):
                    # Each command is an array.
                    line.sendall(asked.count(b"*") * b"-LOADING Redis is loading the dataset in memory\r\n")

        thread = threading.Thread(target=load_data)
        thread.start()
        assert not answers(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        thread.join(10)
    with pytest.raises(RedisRefused):
        answers(redis_server.url("nobody", "wrong"))
