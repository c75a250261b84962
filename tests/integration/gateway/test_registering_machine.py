"""What ``assist-agent register`` keeps on its machine, and what comes of it where that cannot be kept."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config.errors import Refused, SettingsInvalid
from cloud_assistant.producer.fleet import activations
from cloud_assistant.worker.registration import registering
from cloud_assistant.worker.registration.registering import Wanted, alone, register_machine
from cloud_assistant.worker.registration.registration_request import Granted, RegistrationClient
from harness.redis_server import RedisServer

HOLD = """
import sys
from pathlib import Path
from cloud_assistant.worker.registration.registering import alone
with alone(Path(sys.argv[1]), pause=lambda _: None, on_wait=lambda: None):
    print("alone", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "control", has_master_key=True) as running:
        yield running


def test_a_forced_registration_that_could_not_be_kept_is_completed_by_its_repetition(
    gateway: WholeGateway, tmp_path: Path
) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.master)
    in_the_way = tmp_path / "etc"
    in_the_way.touch()

    def register(*, force: bool) -> str:
        client = RegistrationClient(f"http://127.0.0.1:{gateway.port}", pause=lambda _: None)
        wanted = Wanted(activation_id=given[0], activation_code=given[1], force_new=force)
        home, config = tmp_path / "home", tmp_path / "etc" / "config.toml"
        return register_machine(client, wanted, home=home, config=config).instance_id

    def used() -> int:
        return activations.load(redis, given[0]).registered_count

    for _ in range(2):
        with pytest.raises(SettingsInvalid, match="cannot be read"):
            register(force=True)
    assert used() == 1
    in_the_way.unlink()
    first = register(force=True)
    assert used() == 1
    assert register(force=False) == first
    # Once it is kept, whoever forces it wants another one.
    second = register(force=True)
    assert second != first
    assert register(force=False) == second
    assert used() == 2


def test_images_are_neither_the_machine_that_makes_them_nor_one_another(gateway: WholeGateway, tmp_path: Path) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.master)

    sent: list[Mapping[str, object]] = []

    class Recording(RegistrationClient):
        def register(self, request: Mapping[str, object]) -> Granted:
            sent.append(request)
            return super().register(request)

    def register(folder: Path, root: Path) -> str:
        client = Recording(f"http://127.0.0.1:{gateway.port}", pause=lambda _: None)
        wanted = Wanted(activation_id=given[0], activation_code=given[1])
        return register_machine(client, wanted, home=folder / "home", config=folder / "c.toml", root=root).instance_id

    named = tmp_path / "named"
    (named / "etc").mkdir(parents=True)
    (named / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    places = [(tmp_path / "maker", Path("/")), *((one, one) for one in (tmp_path / "a", tmp_path / "b", named))]
    made = [register(folder, root) for folder, root in places]
    assert len(set(made)) == 4
    assert [register(folder, root) for folder, root in places] == made
    # Other programs rely on that name as a secret.
    assert not any("0123456789abcdef" in str(request) for request in sent)


def test_who_registers_waits_for_another_that_does_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    home = tmp_path / "home"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"alone\n"
        with monkeypatch.context() as patch:
            patch.setattr(registering, "_PATIENCE_SECONDS", 0.0)
            with (
                pytest.raises(Refused, match="lock and does not end"),
                alone(home, pause=waits.append, on_wait=lambda: waits.append(0.0)),
            ):
                pass
        assert waits[0] == 0.0
        waits.clear()
        # However that one ends.
        with alone(home, pause=lambda _: other.kill(), on_wait=lambda: waits.append(0.0)):
            assert waits == [0.0]
    with alone(home, pause=lambda _: None, on_wait=lambda: waits.append(1.0)):
        assert waits == [0.0]
    (tmp_path / "file").touch()
    with (
        pytest.raises(Refused, match="lock cannot be written"),
        alone(tmp_path / "file", pause=lambda _: None, on_wait=lambda: None),
    ):
        pass
