"""``--connected`` as an operator uses it: nobody waits for machines that are switched off."""

from collections.abc import Iterator

import pytest
from e2e.cli.conftest import Fleet

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.redis.client import Redis

ABSENT = [f"i-absent{number}" for number in range(7)]


@pytest.fixture(autouse=True)
def absent(fleet: Fleet) -> Iterator[None]:
    """Machines that are registered and switched off."""
    redis = Redis(fleet.system.redis_url)
    for one in ABSENT:
        register_instance(redis, one, {}, now_ms=now_ms(), must_be_new=False)
    yield
    redis.close()
    with fleet.system.operator() as operator:
        for one in ABSENT:
            operator.remove_instance(one)


def test_those_that_are_not_there_are_left_out_and_named(fleet: Fleet) -> None:
    everywhere = fleet.assist("run", "echo here", "--all", "--connected").must_succeed()
    assert "2 instances: Success exit 0\n  i-web1, i-web2\n" in everywhere.stdout
    assert f"left out, not connected: {', '.join(ABSENT[:5])} and 2 more\n" in everywhere.stderr
    fleet.assist("instance", "tag", "i-absent3", "env=test").must_succeed()
    tagged = fleet.assist("run", "echo here", "--tag", "env=test", "--connected").must_succeed()
    assert "2 instances: Success exit 0\n" in tagged.stdout
    assert "left out, not connected: i-absent3\n" in tagged.stderr
    there = fleet.assist("run", "echo here", "--instance", "i-web2", "--connected").must_succeed()
    assert there.stdout == "here\n"
    assert "left out" not in there.stderr


def test_where_none_is_there_it_is_refused_and_one_that_nobody_knows_is_told_as_such(fleet: Fleet) -> None:
    named = [word for one in ABSENT[:3] for word in ("--instance", one)]
    outcome = fleet.assist("run", "true", *named, "--connected")
    assert (outcome.exit_code, outcome.stdout) == (5, "")
    assert "none of the 3 chosen is connected" in outcome.stderr
    unknown = fleet.assist("run", "true", "--instance", "i-wbe1", *named, "--connected")
    assert (unknown.exit_code, unknown.stdout) == (5, "")
    assert "no instance i-wbe1 is registered" in unknown.stderr
