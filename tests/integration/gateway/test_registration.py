"""Registration over HTTP, and everything that somebody with a stolen or guessed code may try."""

import http.client
import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisRefused, SettingsInvalid
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.fleet import activations, instances, targets
from cloud_assistant.worker.registration.registering import Wanted, register_machine
from cloud_assistant.worker.registration.registration_request import GatewayUnreachable, RegistrationClient
from harness.certificates import Authority
from harness.redis_server import RedisServer


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    """A gateway that believes the proxy on loopback, so that a test can come from anywhere."""
    with whole_gateway(redis_server.url(), tmp_path, trusted_proxies="127.0.0.1", has_master_key=True) as running:
        yield running


@pytest.fixture
def plain_gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    """A gateway that believes no proxy."""
    with whole_gateway(redis_server.url(), tmp_path, has_master_key=True) as running:
        yield running


def register(gateway: WholeGateway, given: tuple[str, str], address: str = "", **more: object) -> tuple[int, Any]:
    """Register a machine; answers status and body."""
    machine = str(more.pop("machine", "machine-one-0001"))
    body = {
        "ActivationId": given[0],
        "ActivationCode": given[1],
        "MachineId": machine,
        "ClientToken": f"secret-of-{machine}",
        **more,
    }
    headers = {"Content-Type": "application/json", **({"X-Forwarded-For": address} if address else {})}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request("POST", "/register", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def refusal(gateway: WholeGateway, given: tuple[str, str], address: str = "", **more: object) -> tuple[int, str]:
    """Register in vain; answers status and code."""
    status, body = register(gateway, given, address, **more)
    assert status != 200, body
    assert "Settings" not in body
    return status, body["Code"]


def posted(gateway: WholeGateway, body: bytes) -> tuple[int, str]:
    """Send a body as it is; answers status and code."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request("POST", "/register", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())["Code"]
    finally:
        connection.close()


@pytest.mark.parametrize("body", [b"{", b'{"ActivationId":"\xff"}', b'{"x":' + b"[" * 5_000])
def test_a_body_that_is_no_registration_is_refused(plain_gateway: WholeGateway, body: bytes) -> None:
    assert posted(plain_gateway, body) == (400, "InvalidParameter")


def used(gateway: WholeGateway, activation_id: str) -> int:
    """How many uses of an activation are gone."""
    return activations.load(gateway.assistant.redis, activation_id).registered_count


def end(gateway: WholeGateway, activation_id: str) -> None:
    """Let an activation's time be over."""
    redis = gateway.assistant.redis
    stored = activations.load(redis, activation_id).activation
    older = msgspec.structs.replace(stored, created_ms=stored.created_ms - stored.hours * 3_600_000)
    anew = activations.sealed(older, gateway.assistant.trust.known_master)
    redis.call("HSET", keys.activation(activation_id), "record", msgspec.json.encode(anew))


def test_a_machine_becomes_an_instance_with_credentials_that_open_its_branch_only(gateway: WholeGateway) -> None:
    redis = gateway.assistant.redis
    given = activations.create(
        redis, gateway.assistant.trust.known_master, instance_name="web", instance_count=20, tags={"env": "test"}
    )
    status, body = register(gateway, given)
    assert status == 200, body
    assert (body["InstanceName"], body["Again"]) == ("web-001", False)
    instance_id = body["InstanceId"]
    assert instance_id.startswith("mi-")
    assert set(body["Settings"]) == {"redis_url", "instance_id", "security.instance_key"}
    stored = instances.load(redis, instance_id)
    assert (stored.name, stored.tags, stored.activation_id) == ("web-001", {"env": "test"}, given[0])
    mine = Redis(body["Settings"]["redis_url"])
    assert mine.call("HGET", keys.profile(instance_id), "name") == b"web-001"
    with pytest.raises(RedisRefused, match="NOPERM"):
        mine.call("HGETALL", keys.profile("mi-another"))
    with pytest.raises(RedisRefused, match="NOPERM"):
        mine.call("HGETALL", keys.activation(given[0]))
    mine.close()
    (listed,) = gateway.call("DescribeManagedInstances", {"ActivationId": given[0]})[1]["Instances"]
    assert listed["InstanceId"] == instance_id


def test_credentials_are_answered_to_nobody_who_keeps_answers(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    machine = {"MachineId": "machine-one-0001", "ClientToken": "secret-of-machine-one"}
    body = json.dumps({"ActivationId": given[0], "ActivationCode": given[1], **machine})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("POST", "/register", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert (response.status, response.getheader("Cache-Control")) == (200, "no-store")
    connection.close()


def test_instances_are_in_the_resource_group_of_their_activation(gateway: WholeGateway) -> None:
    # Whoever asks for one group and is shown all machines may run something on all of them.
    for group in ("rg-1", "rg-2", ""):
        _, made = gateway.call("CreateActivation", {"ResourceGroupId": group})
        given = made["ActivationId"], made["ActivationCode"]
        assert register(gateway, given, machine=f"machine-of-group-{group}")[0] == 200
    for group, count in (("rg-1", 1), ("rg-2", 1), ("rg-3", 0), ("", 3)):
        _, answer = gateway.call("DescribeInstances", {"ResourceGroupId": group})
        _, managed = gateway.call("DescribeManagedInstances", {"ResourceGroupId": group})
        assert (answer["TotalCount"], managed["TotalCount"]) == (count, count)
        for one in (*answer["Instances"]["Instance"], *managed["Instances"]):
            assert group in ("", one["ResourceGroupId"])


def test_a_tag_that_an_activation_was_given_later_goes_to_its_instances(gateway: WholeGateway) -> None:
    _, made = gateway.call("CreateActivation")
    tag = {"Tag.1.Key": "k" * 128, "Tag.1.Value": "v"}
    given = made["ActivationId"], made["ActivationCode"]
    assert gateway.call("TagResources", {"ResourceType": "activation", "ResourceId.1": given[0], **tag})[0] == 200
    status, body = register(gateway, given)
    assert status == 200, body
    _, answer = gateway.call("DescribeInstances", tag)
    assert [one["InstanceId"] for one in answer["Instances"]["Instance"]] == [body["InstanceId"]]


def test_the_code_is_kept_as_a_digest_only(gateway: WholeGateway) -> None:
    redis = gateway.assistant.redis
    activation_id, code = activations.create(redis, gateway.assistant.trust.known_master)
    assert register(gateway, (activation_id, code))[0] == 200
    for name in redis.call("KEYS", "*"):
        assert code.encode() not in redis.call("DUMP", name)


def test_who_repeats_a_registration_gets_the_same_instance_and_takes_no_second_use(gateway: WholeGateway) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.known_master, instance_count=1)
    first, again = register(gateway, given)[1], register(gateway, given)[1]
    assert (again["InstanceId"], again["Again"]) == (first["InstanceId"], True)
    assert used(gateway, given[0]) == 1
    assert again["Settings"]["redis_url"] != first["Settings"]["redis_url"]
    with pytest.raises(RedisRefused, match="WRONGPASS"):
        Redis(first["Settings"]["redis_url"]).call("PING")


def test_a_registration_that_broke_off_after_its_use_was_taken_is_completed(gateway: WholeGateway) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.known_master, instance_count=1)
    first = register(gateway, given)[1]["InstanceId"]
    instances.remove(redis, first, history_days=1)
    assert register(gateway, given)[1]["InstanceId"] == first
    assert used(gateway, given[0]) == 1


def test_a_registration_that_broke_off_within_its_tags_is_completed(gateway: WholeGateway) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.known_master, tags={"env": "prod"})
    first = register(gateway, given)[1]["InstanceId"]
    redis.call("DEL", keys.tag("instance", "env", "prod"), keys.tag_key("instance", "env"))
    assert register(gateway, given)[1]["InstanceId"] == first
    assert targets.tagged(redis, "instance", {"env": "prod"}) == [first]


def test_who_only_knows_the_fingerprint_of_a_machine_does_not_get_its_instance(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    mine = register(gateway, given)[1]["InstanceId"]
    assert refusal(gateway, given, ClientToken="another-secret-0001") == (403, "Machine.AlreadyRegistered")
    assert used(gateway, given[0]) == 1
    forced = register(gateway, given, ClientToken="another-secret-0001", ForceNew=True)[1]
    assert forced["InstanceId"] != mine
    # Repeated after its answer was lost, a forced one takes no further use either.
    assert register(gateway, given, ClientToken="another-secret-0001", ForceNew=True)[1]["Again"] is True
    assert used(gateway, given[0]) == 2


def test_a_deregistered_machine_needs_another_use(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master, instance_count=2)
    first = register(gateway, given)[1]["InstanceId"]
    gateway.assistant.trust.deregister(first)
    second = register(gateway, given)[1]
    assert second["InstanceId"] != first
    stored = activations.load(gateway.assistant.redis, given[0])
    assert (stored.registered_count, stored.deregistered_count) == (2, 1)


def test_a_code_is_never_used_more_often_than_allowed_however_many_come_at_once(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master, instance_count=5)
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda number: register(gateway, given, machine=f"machine-{number:012}"), range(24)))
    accepted = [body["InstanceId"] for status, body in answers if status == 200]
    assert len(accepted) == len(set(accepted)) == 5
    assert {(status, body["Code"]) for status, body in answers if status != 200} == {(403, "Activation.UsedUp")}
    assert gateway.assistant.redis.call("ZCARD", keys.INSTANCES) == 5


def test_one_machine_that_asks_many_times_at_once_takes_one_use(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: register(gateway, given), range(8)))
    assert {body["Code"] for status, body in answers if status != 200} <= {"IdempotentProcessing"}
    assert len({body["InstanceId"] for status, body in answers if status == 200}) == 1
    assert used(gateway, given[0]) == 1


def test_an_ended_code_lets_nobody_in_not_even_a_machine_that_was_in(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master, hours=1)
    assert register(gateway, given)[0] == 200
    end(gateway, given[0])
    assert refusal(gateway, given) == (403, "Activation.Expired")
    assert refusal(gateway, given, machine="machine-two-0002") == (403, "Activation.Expired")


def test_a_disabled_code_lets_nobody_in(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    activations.disable(gateway.assistant.redis, given[0])
    assert refusal(gateway, given) == (403, "Activation.Disabled")


def test_a_deleted_code_is_as_unknown_as_one_that_never_was(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    activations.delete(gateway.assistant.redis, given[0])
    assert refusal(gateway, given) == (403, "ActivationCode.Invalid")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "unknown"])
def test_a_code_for_one_network_is_no_good_in_another(gateway: WholeGateway, address: str) -> None:
    redis = gateway.assistant.redis
    given = activations.create(redis, gateway.assistant.trust.known_master, address_range="127.0.0.0/8")
    assert refusal(gateway, given, address) == (403, "Activation.AddressNotAllowed")
    assert used(gateway, given[0]) == 0
    assert register(gateway, given)[0] == 200


def test_a_header_does_not_move_a_client_to_another_network(plain_gateway: WholeGateway) -> None:
    given = activations.create(
        plain_gateway.assistant.redis, plain_gateway.assistant.trust.known_master, address_range="10.0.0.0/8"
    )
    assert refusal(plain_gateway, given, "10.0.0.1") == (403, "Activation.AddressNotAllowed")


def test_a_wrong_code_and_an_unknown_id_cannot_be_told_apart(gateway: WholeGateway) -> None:
    activation_id, _ = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    gateway.assistant.redis.call("HSET", keys.activation("BROKEN"), "record", "{")
    answers = [register(gateway, (one, "a-guess"))[1] for one in (activation_id, "F" * 36, "BROKEN")]
    assert {answer["Code"] for answer in answers} == {"ActivationCode.Invalid"}
    assert len({answer["Message"] for answer in answers}) == 1


def test_who_guesses_has_to_wait_and_others_do_not(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    guesses = [refusal(gateway, (given[0], f"a-guess{number}"), "198.51.100.9") for number in range(12)]
    assert guesses[:10] == [(403, "ActivationCode.Invalid")] * 10
    assert guesses[10:] == [(400, "Throttling.User")] * 2
    assert refusal(gateway, given, "198.51.100.9") == (400, "Throttling.User")
    assert register(gateway, given)[0] == 200


def test_addresses_of_one_ipv6_network_guess_together(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    codes = [refusal(gateway, (given[0], "a-guess"), f"2001:db8::{number:x}")[1] for number in range(1, 12)]
    assert codes[-1] == "Throttling.User"


def test_a_name_must_begin_as_the_activation_says(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master, instance_name="web")
    for name in ("db-1", "my-web-1", "WEB-1"):
        assert refusal(gateway, given, Name=name) == (400, "InstanceName.InvalidPattern")
    assert refusal(gateway, given, Name="web <b>") == (400, "InstanceName.InvalidPattern")
    assert used(gateway, given[0]) == 0
    assert register(gateway, given, Name="web-blue")[1]["InstanceName"] == "web-blue"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"ActivationId": 1}', b'{"ActivationId": "x"}', b"\xff\xfe", b"[" * 5_000]
)
def test_what_is_no_registration_is_refused_as_such(gateway: WholeGateway, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.request("POST", "/register", body)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["Code"]) == (400, "InvalidParameter")
    connection.close()


@pytest.mark.parametrize(("count", "name"), [(1, "web-001"), (999, "web-001"), (1_000, "web-0001")])
def test_names_of_one_activation_are_of_one_length(gateway: WholeGateway, count: int, name: str) -> None:
    redis, master = gateway.assistant.redis, gateway.assistant.trust.known_master
    given = activations.create(redis, master, instance_name="web", instance_count=count)
    assert register(gateway, given)[1]["InstanceName"] == name


def test_a_machine_elsewhere_is_not_sent_to_a_redis_on_its_own_loopback(gateway: WholeGateway) -> None:
    given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
    assert refusal(gateway, given, "192.0.2.1") == (503, "AgentRedisUrl.Missing")
    assert used(gateway, given[0]) == 0


@pytest.mark.parametrize("place", ["redis.example:6380", "127.0.0.1:7000"])
def test_where_agents_reach_redis_is_where_the_operator_says(
    redis_server: RedisServer, tmp_path: Path, place: str
) -> None:
    """On its own loopback, too: a tunnel may end there."""
    with whole_gateway(
        redis_server.url(),
        tmp_path,
        trusted_proxies="127.0.0.1",
        has_master_key=True,
        agent_redis_url=f"redis://{place}/0",
    ) as elsewhere:
        given = activations.create(elsewhere.assistant.redis, elsewhere.assistant.trust.known_master)
        status, body = register(elsewhere, given, "192.0.2.1")
    assert status == 200
    assert f"@{place}/" in body["Settings"]["redis_url"]


def test_a_gateway_that_cannot_sign_lets_nobody_in(
    redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with whole_gateway(redis_server.url(), tmp_path) as without:
        given = activations.create(without.assistant.redis, without.assistant.trust.known_master)
        assert refusal(without, given) == (503, "MasterKey.Missing")
        assert refusal(without, (given[0], "a-guess")) == (403, "ActivationCode.Invalid")
        assert used(without, given[0]) == 0
    assert "no master key" in caplog.text


def test_a_machine_registers_over_tls_with_a_gateway_that_its_ca_vouches_for(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    # A proxy for plain requests has no part in it.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr("cloud_assistant.worker.registration.registration_request._TRIES_COUNT", 2)
    certificate = authority.issue("gateway", "localhost", "127.0.0.1")
    with whole_gateway(redis_server.url(), tmp_path / "home", certificate=certificate, has_master_key=True) as gateway:
        activation_id, code = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
        url = f"https://localhost:{gateway.port}"
        wanted = Wanted(activation_id=activation_id, activation_code=code)
        pauses: list[float] = []

        def join(ca_file: Path) -> str:
            client = RegistrationClient(url, ca_file=str(ca_file), pause=pauses.append)
            return register_machine(client, wanted, home=tmp_path / "m", config=tmp_path / "m.toml").instance_id

        with pytest.raises(GatewayUnreachable, match="--ca-file"):
            join(stranger.ca)
        assert pauses == [], "a wrong certificate does not become right by waiting"
        with pytest.raises(SettingsInvalid, match="--ca-file"):
            join(tmp_path / "nothing.crt")
        monkeypatch.chdir(tmp_path)
        instance_id = join(authority.ca.relative_to(tmp_path))
        assert instances.load(gateway.assistant.redis, instance_id).activation_id == activation_id
    kept = tomllib.loads((tmp_path / "m.toml").read_text())["gateway"]
    assert kept == {"url": url, "ca_file": str(authority.ca)}, "a path that was relative is whole"


def test_a_gateway_that_speaks_no_tls_is_told_with_what_to_look_at(redis_server: RedisServer, tmp_path: Path) -> None:
    wanted = Wanted(activation_id="x", activation_code="y")
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as gateway:
        client = RegistrationClient(f"https://127.0.0.1:{gateway.port}", pause=lambda _: None)
        with pytest.raises(GatewayUnreachable, match=r"does it speak TLS there, or is it http://…\?"):
            register_machine(client, wanted, home=tmp_path / "m", config=tmp_path / "m.toml")


def test_a_gateway_that_does_not_answer_is_asked_again_for_a_while(tmp_path: Path) -> None:
    pauses: list[float] = []
    client = RegistrationClient("http://127.0.0.1:1", pause=pauses.append)
    wanted = Wanted(activation_id="x", activation_code="y")
    with pytest.raises(GatewayUnreachable, match=r"does not answer: .*; is that its address, and does it run\?"):
        register_machine(client, wanted, home=tmp_path / "m", config=tmp_path / "m.toml")
    assert len(pauses) == 4
    assert not (tmp_path / "m.toml").exists()


def test_the_oldest_ended_activations_make_room_for_new_ones(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis = gateway.assistant.redis
    monkeypatch.setattr(activations, "ACTIVATIONS_COUNT", 2)
    first, second = (activations.create(redis, gateway.assistant.trust.known_master, hours=1)[0] for _ in range(2))
    with pytest.raises(ValueError, match="2 activations already"):
        activations.create(redis, gateway.assistant.trust.known_master)
    end(gateway, first)
    third = activations.create(redis, gateway.assistant.trust.known_master)[0]
    assert {one.decode() for one in redis.call("ZRANGE", keys.ACTIVATIONS, 0, -1)} == {second, third}


@pytest.mark.parametrize(
    "url", ["assist.example", "ftp://x", "https://", "https://x:81770", "https://x:y", "http://[::1", "https://a..b"]
)
def test_what_is_no_url_of_a_gateway_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not https://"):
        RegistrationClient(url, pause=lambda _: None)
