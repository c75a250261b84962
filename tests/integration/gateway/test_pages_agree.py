"""Whoever pages by number and whoever pages by token see the same, each thing once, and as many as are counted."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from harness.redis_server import RedisServer

INSTANCES = [f"mi-{number}" for number in range(5)]
TAG = {"Tag.1.Key": "t", "Tag.1.Value": "1"}
STATES = ("Success", "Failed", "Running", "Aborted", "Cancelled")
#: Filters of each listing; every request of the test has some of them.
FILTERS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "DescribeCommands": ({"Name": "n*"}, {"Name": "n1"}, TAG, {"ResourceGroupId": "g1"}),
    "DescribeInvocations": (
        *({"InstanceId": "mi-1"}, {"CommandName": "*2"}, {"Timed": "true"}, {"Timed": "false"}, TAG),
        *({"InvokeStatus": "Finished"}, {"InvokeStatus": "Scheduled"}, {"RepeatMode": "Once"}, {"CommandId": "ANY"}),
    ),
    "DescribeInvocationResults": (
        *({"InstanceId": "mi-1"}, {"IncludeHistory": "true"}, {"InvokeRecordStatus": "Running"}, TAG),
        *({"InvokeRecordStatus": "Finished"}, {"CommandId": "ANY"}, {"InvokeId": "TIMED"}, {"ResourceGroupId": "g1"}),
    ),
    "DescribeSendFileResults": ({"Name": "f0"}, {"InstanceId": "mi-1"}, {"InvocationStatus": "Failed"}),
    "DescribeInstances": ({"InstanceName": "n1"}, {"InstanceIds": '["mi-3", "mi-0", "mi-3", "mi-1"]'}, TAG),
    "DescribeManagedInstances": ({"InstanceName": "n*"}, {"InstanceId.1": "mi-2", "InstanceId.2": "mi-0"}, TAG),
    "DescribeCloudAssistantStatus": (),
    "DescribeActivations": ({"InstanceName": "web1"}, TAG),
}


class Scene:
    """A control side with some of everything; the ids that filters may name."""

    def __init__(self, gateway: WholeGateway) -> None:
        self.gateway = gateway
        self.random = Random(11)
        self.timed: list[str] = []
        for number, one in enumerate(INSTANCES):
            gateway.assistant.add_instance(one, name=f"n{number % 3}", tags={"t": str(number % 2)})
        labels = [
            {"Tag.1.Key": "t", "Tag.1.Value": str(one % 2), "ResourceGroupId": f"g{one % 2}"} for one in range(20)
        ]
        # Long enough that nothing ends by itself from one page to the next.
        long = {"Timeout": "3600"}
        command = {"Type": "RunShellScript", "CommandContent": "ZWNobyAx", **long}
        self.commands = [
            self.ask("CreateCommand", {"Name": f"n{number % 4}", **command, **label})["CommandId"]
            for number, label in enumerate(labels[:9])
        ]
        for number, label in enumerate(labels):
            targets = self.random.sample(INSTANCES, self.random.randint(1, 4))
            ids = {f"InstanceId.{place}": one for place, one in enumerate(targets, 1)}
            invoke = {"CommandId": self.random.choice(self.commands), **ids, **label}
            self.run(invoke, targets, is_timed=number % 3 == 0)
            self.ask("SendFile", {"Name": f"f{number % 2}", "TargetDir": "/tmp", "Content": "x", **long, **ids})
            self.ask("CreateActivation", {"InstanceName": f"web{number % 2}", **label})

    def ask(self, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
        status, answer = self.gateway.call(action, asked)
        assert status == 200, answer
        answered: dict[str, Any] = answer
        return answered

    def run(self, invoke: Mapping[str, str], targets: list[str], *, is_timed: bool) -> None:
        """Invoke, and write what agents and beats leave: not every target has had its turn."""
        frequency = {"Frequency": "0 0 0 1 1 *"} if is_timed else {}
        invoke_id = self.ask("InvokeCommand", {**invoke, **frequency})["InvokeId"]
        redis = self.gateway.assistant.redis
        for due_ms in range(1, self.random.randint(2, 6)) if is_timed else [0]:
            if is_timed:
                self.timed.append(invoke_id)
                redis.call("HSET", keys.firing(invoke_id, due_ms), "status", "fired", "due_ms", due_ms)
                redis.call("ZADD", keys.firings(invoke_id), due_ms, due_ms)
                redis.call("HSET", keys.timed(invoke_id), "last_due_ms", due_ms)
            for one in self.random.sample(targets, self.random.randint(0, len(targets))):
                execution = execution_id(invoke_id, due_ms, one)
                row = ("state", self.random.choice(STATES), "command_id", invoke["CommandId"])
                redis.call("HSET", keys.execution(one, execution), *row)
                if is_timed:
                    redis.call("ZADD", keys.instance_history(one), due_ms, execution)
                    redis.call("HSET", keys.timed_latest(invoke_id), one, due_ms)
        if self.random.random() < 0.2:
            self.ask("StopInvocation", {"InvokeId": invoke_id})

    def some_of(self, filters: tuple[Mapping[str, str], ...]) -> dict[str, str]:
        chosen = {name: value for one in filters if self.random.random() < 0.3 for name, value in one.items()}
        known = {"ANY": self.random.choice(self.commands), "TIMED": self.random.choice(self.timed)}
        return {name: known.get(value, value) for name, value in chosen.items()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = Path(tmp_path_factory.mktemp("pages"))
    with (
        RedisServer(folder / "redis") as server,
        whole_gateway(server.url(), folder / "home", has_master_key=True) as gateway,
    ):
        yield Scene(gateway)


def page_of(answer: Mapping[str, Any]) -> tuple[list[str], int, str]:
    """What a page lists, how many it says there are, and the token for the next."""
    answer = answer.get("Invocation", answer)
    lists = [value for value in answer.values() if isinstance(value, list | dict)]
    listed = lists[0] if isinstance(lists[0], list) else next(iter(lists[0].values()))
    return [repr(one) for one in listed], answer["TotalCount"], answer["NextToken"]


@pytest.mark.parametrize("action", FILTERS)
def test_pages_by_number_and_by_token_agree(scene: Scene, action: str) -> None:
    for _ in range(8):
        asked = scene.some_of(FILTERS[action])
        size = scene.random.randint(1, 5)
        numbered: list[str] = []
        counts: set[int] = set()
        listed = [""]
        for number in range(1, 200):
            listed, count, _ = page_of(scene.ask(action, {**asked, "PageSize": str(size), "PageNumber": str(number)}))
            numbered += listed
            counts.add(count)
            if not listed:
                break
        assert (listed, counts) == ([], {len(numbered)}), asked
        assert len(set(numbered)) == len(numbered), asked
        chained: list[str] = []
        token = "first"
        while token:
            more = {"NextToken": "" if token == "first" else token, "MaxResults": str(size)}
            listed, _, token = page_of(scene.ask(action, {**asked, **more}))
            assert len(listed) == size or not token, asked
            chained += listed
        assert chained == numbered, asked
