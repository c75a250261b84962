"""Every documented error of every action comes from its real cause, or it is said why it cannot come."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from integration.gateway.error_cases import CANNOT_ARISE, CASES, GOOD

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.instances import heartbeat, register_instance
from cloud_assistant.broker_config.settings_table import LimitSettings, Settings
from cloud_assistant.producer import Assistant, client_tokens
from cloud_assistant.producer.gateway.actions.action import ActionRegistry, Call
from cloud_assistant.producer.gateway.actions.idempotency import scope_of
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.gateway.api_errors import ApiError, http_status_of
from cloud_assistant.producer.security.caller import AccessKey
from harness.documented_errors import ERRORS_OF_ACTIONS
from harness.redis_server import RedisServer

CALLER = AccessKey("k", "secret", active=True, principal="tester")
LIMITS = LimitSettings(strict=True)


class Scene:
    """A control side with something of everything, and no agent."""

    def __init__(self, redis_url: str, home: Path) -> None:
        self.assistant = Assistant(settings=Settings(redis_url=redis_url, home=str(home), limits=LIMITS))
        self.registry = action_registry(self.assistant)
        # The same where not one more command fits.
        self.full = Assistant(settings=replace(self.assistant.settings, limits=replace(LIMITS, commands_count=1)))
        redis = self.assistant.redis
        for instance_id, os_type in (("i-one", "Linux"), ("i-tagged", "Linux"), ("i-windows", "Windows")):
            self.assistant.add_instance(instance_id, tags={f"t{n}": "" for n in range(20) if "tagged" in instance_id})
            heartbeat(redis, instance_id, "epoch", {"os_type": os_type}, ttl_ms=600_000, take_over=True)
        for instance_id in ("mi-one", "mi-gone"):
            register_instance(redis, instance_id, {"name": instance_id}, now_ms=1, must_be_new=True)
        self.ids: dict[str, str] = {}
        self.ids["COMMAND"] = self._id("CreateCommand", "CommandId")
        self.ids["ENABLED"] = self._id("CreateCommand", "CommandId", CommandContent="e3thfX0=", EnableParameter="true")
        self.ids["IN_USE"] = self._id("CreateCommand", "CommandId")
        self._id("InvokeCommand", "InvokeId", CommandId=self.ids["IN_USE"])
        self.ids["ONCE"] = self._id("RunCommand", "InvokeId")
        self.ids["TIMED"] = self._id("RunCommand", "InvokeId", Frequency="0 0 3 * * *")
        self.ids["OVER"] = self._id("RunCommand", "InvokeId", Frequency="0 0 3 * * *")
        self.call("StopInvocation", {"InvokeId": self.ids["OVER"]})
        for name in ("ACTIVATION", "JOINED", "UNUSED"):
            self.ids[name] = self._id("CreateActivation", "ActivationId")
        redis.call("HSET", keys.activation(self.ids["JOINED"]), "registered_count", 1)

    def call(self, action: str, parameters: Mapping[str, str], registry: ActionRegistry | None = None) -> object:
        """Call an action in this process, as the gateway does once a request is authenticated."""
        found = (registry or self.registry).find(action)
        assert found is not None
        given = {name: self.ids.get(value, value) for name, value in {"RegionId": "local", **parameters}.items()}
        return found(Call(action, Parameters(given), CALLER, "request"))

    def _id(self, action: str, name: str, **parameters: str) -> str:
        answer = self.call(action, {**GOOD[action], **parameters})
        assert isinstance(answer, Mapping)
        return str(answer[name])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = Path(tmp_path_factory.mktemp("rows"))
    with RedisServer(folder / "redis") as server:
        made = Scene(server.url(), folder)
        yield made
        made.assistant.close()
        made.full.close()


@pytest.mark.parametrize("action", sorted(set(GOOD) - {"DeleteCommand"}))
def test_the_good_request_of_an_action_is_accepted(scene: Scene, action: str) -> None:
    if action == "TagResources":
        scene.call("UntagResources", GOOD["UntagResources"])
    scene.call(action, GOOD[action])


@pytest.mark.parametrize(
    ("action", "changed", "code"),
    [
        pytest.param(action, changed, code, id=f"{action}-{code}-{number}")
        for action, cases in CASES.items()
        for number, (changed, code) in enumerate(cases)
    ],
)
def test_the_cause_of_an_error_gives_that_error(
    scene: Scene, action: str, changed: Mapping[str, str], code: str
) -> None:
    dropped = changed.get("NO", "-")
    parameters = {name: value for name, value in GOOD[action].items() if not name.startswith(dropped)}
    parameters |= {name: value for name, value in changed.items() if name != "NO"}
    registry = action_registry(scene.full) if parameters.get("Name") == "full" else None
    error = refusal(scene, action, parameters, registry)
    assert (error.code, error.http_status) == (code, http_status_of(code, action)), error.message
    assert len(error.message) > 10


@pytest.mark.parametrize("action", sorted(ERRORS_OF_ACTIONS))
def test_each_documented_error_has_a_cause_or_a_reason(action: str) -> None:
    caused = {code for _, code in CASES[action]}
    excused = set(CANNOT_ARISE["*"]) | set(CANNOT_ARISE.get(action, {}))
    assert not ERRORS_OF_ACTIONS[action] - caused - excused
    assert not caused & excused


def refusal(scene: Scene, action: str, parameters: Mapping[str, str], registry: ActionRegistry | None) -> ApiError:
    """Call an action that must refuse, with its token in the state that the token's name tells."""
    token = parameters.get("ClientToken", "")
    scope = scope_of(action, CALLER)
    found: list[ApiError] = []

    def call() -> dict[str, str]:
        with pytest.raises(ApiError) as caught:
            scene.call(action, parameters, registry)
        found.append(caught.value)
        return {"answer": "{}"}

    if token == "PENDING":
        given = {name: scene.ids.get(value, value) for name, value in parameters.items() if name != "ClientToken"}
        same = {"RegionId": "local", **given}
        client_tokens.once(scene.assistant.redis, scope=scope, token=token, parameters=same, act=call)
    else:
        if token == "USED":
            client_tokens.once(
                scene.assistant.redis, scope=scope, token=token, parameters={}, act=lambda: {"answer": "{}"}
            )
        call()
    return found[0]
