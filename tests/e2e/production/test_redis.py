"""The Redis side of the production guide, done step by step with its own files: users, TLS, fail-over, backup."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.production.redis_site import REDIS_FILES, RedisSite

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.security.agent_rights import agent_user
from harness.eventually import eventually
from harness.needs import skip_without
from harness.redis_server import RedisServer, server_binary
from harness.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def _needs_client() -> None:
    if shutil.which("redis-cli") is None:
        skip_without("redis-cli", "Install your distribution's redis-tools.")


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path / "system", "redis://127.0.0.1:1/0")
    yield system
    system.stop()


def settings_of(site: RedisSite, program: str) -> str:
    """The address with the user that was made for a program."""
    return str(tomllib.loads((site.users / f"{program}.toml").read_text(encoding="utf-8"))["redis_url"])


def test_every_program_works_with_its_own_user_over_tls(tmp_path: Path, operator: System) -> None:
    with RedisSite(tmp_path / "site") as site:
        operator.redis_url = settings_of(site, "gateway")
        gateway = operator.start_gateway()
        operator.start_beat(redis_url=settings_of(site, "beat"))
        file = tmp_path / "i-one.toml"
        operator.assist("instance", "add", "i-one", "--credentials", file).must_succeed()
        operator.start_agent("i-one", credentials=file)
        outcome = operator.assist(
            "run", "echo over TLS", "--all", environment={"CLOUD_ASSISTANT_REDIS_URL": settings_of(site, "producer")}
        )

        assert outcome.exit_code == 0, outcome.stderr
        assert "over TLS" in outcome.stdout
        assert gateway.is_running
        assert "user ca-agent-i-one" in (tmp_path / "site/server-0/users.acl").read_text(encoding="utf-8")
        assert site.cli(site.ports[0], "CONFIG", "GET", "maxmemory-policy").endswith("noeviction")


@pytest.mark.chaos
def test_work_goes_on_after_the_master_is_killed(tmp_path: Path, operator: System) -> None:
    with RedisSite(tmp_path / "site", server_count=2) as site:
        first, second = site.ports
        eventually(lambda: "master_link_status:up" in site.cli(second, "INFO", "replication"), 20, "replica in step")
        site.start_sentinels()
        operator.redis_url = site.sentinel_url()
        file = tmp_path / "i-one.toml"
        operator.assist("instance", "add", "i-one", "--credentials", file).must_succeed()
        operator.start_agent("i-one", credentials=file)
        before = operator.assist("run", "echo before", "--all", "--output", "json")
        assert before.exit_code == 0, before.stderr

        copy = tmp_path / "copy-users.toml"
        targets = [site.url(port, "admin") for port in site.ports]
        copy.write_text(f'from = "{site.sentinel_url()}"\nto = {targets}\n', encoding="utf-8")
        copied = site.run_script("copy-users", "--file", str(copy))
        assert copied.returncode == 0, copied.stderr
        assert "ca-agent-i-one" in site.cli(second, "ACL", "LIST")
        again = site.run_script("copy-users", "--file", str(copy))
        assert again.stderr.count(" 0 changed") == 2, again.stderr

        site.servers[0].sigkill()
        eventually(lambda: "role:master" in site.cli(second, "INFO", "replication"), 30, "the replica takes over")

        def all_name_it() -> bool:
            asked = [
                site.ask_sentinel(one, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "assistant")
                for one in site.sentinel_ports
            ]
            return all(str(second) in one for one in asked)

        eventually(all_name_it, 30, "every sentinel names the new master")
        after = operator.assist("run", "echo after", "--all", "--deliver-within", "60", within_seconds=70)
        assert after.exit_code == 0, after.stderr + after.stdout
        assert "after" in after.stdout
        kept = operator.assist("invocation", "results", before.json["InvokeId"], "--output", "json")
        assert kept.json["InvocationStatus"] == "Success"

        site.servers[0].start()
        eventually(lambda: "role:slave" in site.cli(first, "INFO", "replication"), 30, "the old master follows")


def test_a_new_master_gets_the_users_that_only_the_old_one_has(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "new", keeps_users=True) as new,
        RedisServer(tmp_path / "old", keeps_users=True) as old,
    ):
        # Registered in the last minute: the entry was replicated, and the user was not copied yet.
        new.cli("HSET", keys.CREDENTIALS, "i-late", "{}")
        old.cli("ACL", "SETUSER", agent_user("i-late"), "on", ">late", "~ca:*", "+get")
        old.cli("ACL", "SETUSER", agent_user("i-gone"), "on", ">gone", "~ca:*", "+get")
        file = tmp_path / "copy-users.toml"
        file.write_text(f'from = "{new.url()}"\nto = ["{new.url()}", "{old.url()}"]\n', encoding="utf-8")
        copied = _run(Path(sys.executable), REDIS_FILES / "copy-users", "--file", file)
        assert f"got {agent_user('i-late')} back" in copied.stderr
        for server in (new, old):
            users = [line.split()[1] for line in server.cli("ACL", "LIST")]
            assert sorted(users) == [agent_user("i-late"), "default"]
        assert agent_user("i-late") in (tmp_path / "new/users.acl").read_text(encoding="utf-8")
        again = _run(Path(sys.executable), REDIS_FILES / "copy-users", "--file", file)
        assert again.stderr.count(" 0 changed") == 2, again.stderr


def test_a_backup_brings_everything_back_on_an_empty_disk(
    redis_server: RedisServer, system: System, tmp_path: Path
) -> None:
    system.start_agent("i-one")
    done = system.assist("run", "echo kept", "--all", "--output", "json").json
    timed = system.assist("run", "true", "--all", "--frequency", "0 0 3 * * *", "--output", "json").json
    backups = tmp_path / "backups"
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    key = system.folder / "operator" / "instance-id"
    key.write_text("stands for the master key", encoding="utf-8")
    taken = _run(REDIS_FILES / "backup", backups, key, environment=environment)
    backup = Path(taken.stdout.strip())

    redis_server.kill()
    shutil.rmtree(redis_server.folder / "appendonlydir")
    (redis_server.folder / "dump.rdb").unlink()
    restored = _run(REDIS_FILES / "restore", backup, redis_server.folder, server_binary(), environment=environment)
    assert "restored" in restored.stderr
    redis_server.start()

    kept = system.assist("invocation", "results", done["InvokeId"], "--output", "json").json
    assert kept["InvocationResults"][0]["Output"] == "kept\n"
    assert timed["InvokeId"] in system.assist("timed", "list", "--output", "json").stdout
    again = system.assist("run", "echo again", "--all", "--deliver-within", "60", within_seconds=70)
    assert again.exit_code == 0, again.stderr
    assert (backup / "instance-id").read_text(encoding="utf-8") == "stands for the master key"


def test_a_backup_waits_for_the_rewriting_of_the_append_only_file(redis_server: RedisServer, tmp_path: Path) -> None:
    redis = Redis(redis_server.url())
    redis.pipeline_or_raise([("SET", f"key{number}", "x") for number in range(200)])
    # Each key takes the rewriting child 10 ms.
    redis.call("CONFIG", "SET", "rdb-key-save-delay", 10_000)
    redis.call("BGREWRITEAOF")
    redis.call("CONFIG", "SET", "rdb-key-save-delay", 0)
    assert b"aof_rewrite_in_progress:1" in redis.call("INFO", "persistence")
    redis.close()
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    taken = _run(REDIS_FILES / "backup", tmp_path / "backups", environment=environment)
    assert (Path(taken.stdout.strip()) / "dump.rdb").stat().st_size > 0


def test_a_backup_that_redis_refuses_says_so_at_once(redis_server: RedisServer, tmp_path: Path) -> None:
    redis = Redis(redis_server.url())
    redis.call("ACL", "SETUSER", "default", "-bgsave")
    redis.close()
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    refused = _run(REDIS_FILES / "backup", tmp_path / "backups", environment=environment, check=False)
    assert refused.returncode == 1
    assert "NOPERM" in refused.stderr
    assert list((tmp_path / "backups").iterdir()) == []


@pytest.mark.parametrize(
    ("client", "file", "said"),
    [
        ("redis-cli -p 1", "key", "backup: Redis does not answer"),
        ("no-such-cli -p 1", "key", "backup: there is no program no-such-cli; name the client that is here"),
        ("redis-cli -p 1", "nowhere", "nowhere cannot be read"),
    ],
    ids=["server", "client", "file"],
)
def test_a_backup_that_cannot_be_taken_says_why_and_leaves_no_half_of_one(
    client: str, file: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "key").touch()
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": client}
    refused = _run(REDIS_FILES / "backup", tmp_path / "backups", tmp_path / file, environment=environment, check=False)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert not list(tmp_path.glob("backups/*"))


def test_a_backup_whose_snapshot_cannot_be_read_leaves_no_half_of_one(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    redis = Redis(redis_server.url())
    redis.call("ACL", "SETUSER", "default", "-config")
    redis.close()
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    refused = _run(REDIS_FILES / "backup", tmp_path / "backups", environment=environment, check=False)
    assert (refused.returncode, "may ask for CONFIG" in refused.stderr) == (1, True), refused.stderr
    assert not list((tmp_path / "backups").iterdir())


@pytest.mark.parametrize("script", ["backup", "restore"])
@pytest.mark.parametrize(("given", "exit_code"), [("--help", 0), ("-h", 0), ("--nonsense", 2), ("", 2)])
def test_the_scripts_say_how_they_are_used(script: str, given: str, exit_code: int, tmp_path: Path) -> None:
    said = subprocess.run(
        [REDIS_FILES / script, given], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert (said.returncode, f"deploy/production/redis/{script} " in (said.stderr if exit_code else said.stdout)) == (
        exit_code,
        True,
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_what_root_restores_belongs_to_the_owner_of_redis_folder(redis_server: RedisServer, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    backup = Path(_run(REDIS_FILES / "backup", tmp_path / "backups", environment=environment).stdout.strip())
    folder = tmp_path / "restored"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    _run(REDIS_FILES / "restore", backup, folder, server_binary(), environment=environment)
    made = [folder / "appendonlydir", *(folder / "appendonlydir").iterdir()]
    assert len(made) > 1
    assert {one.stat().st_uid for one in made} == {65534}


def test_a_damaged_backup_is_refused(redis_server: RedisServer, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": f"redis-cli -p {redis_server.port}"}
    backup = Path(_run(REDIS_FILES / "backup", tmp_path / "backups", environment=environment).stdout.strip())
    with (backup / "dump.rdb").open("ab") as file:
        file.write(b"x")
    (tmp_path / "empty").mkdir()
    refused = _run(REDIS_FILES / "restore", backup, tmp_path / "empty", server_binary(), check=False)

    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "client", "said"),
    [
        (("nowhere", "empty", "/bin/true"), "true", "restore: there is no backup "),
        (("backup", "empty", "/nowhere/valkey-server"), "true", "restore: there is no program /nowhere/valkey-"),
        (("backup", "empty", "/bin/true"), "no-such-cli -p 1", "restore: there is no program no-such-cli; name"),
    ],
    ids=["backup", "server", "client"],
)
def test_a_restore_without_one_of_its_parts_says_which_and_leaves_the_folder_empty(
    given: tuple[str, ...], client: str, said: str, tmp_path: Path
) -> None:
    for name in ("backup", "empty"):
        (tmp_path / name).mkdir()
    environment = {"PATH": "/usr/bin:/bin", "REDIS_CLI": client}
    refused = _run(REDIS_FILES / "restore", *(tmp_path / one for one in given), environment=environment, check=False)
    assert (refused.returncode, refused.stderr.startswith(said)) == (1, True), refused.stderr
    assert list((tmp_path / "empty").iterdir()) == []


def _run(
    *command: Path | str, environment: dict[str, str] | None = None, check: bool = True
) -> "subprocess.CompletedProcess[str]":
    outcome = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment or {"PATH": "/usr/bin:/bin"}
    )
    assert not check or outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome
