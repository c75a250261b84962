"""``assist instance …``, ``config``, ``version``."""

import json

from e2e.cli.conftest import Fleet


def test_the_list_tells_whose_agent_is_connected(fleet: Fleet) -> None:
    fleet.assist("instance", "add", "i-away", "--name", "on a shelf", "--tag", "env=prod").must_succeed()
    listed = {
        one["InstanceId"]: one for one in fleet.assist("instance", "list", "--output", "json").must_succeed().json
    }
    assert {name: one["Connected"] for name, one in listed.items()} == {
        "i-web1": True,
        "i-web2": True,
        "i-away": False,
    }
    assert listed["i-away"]["Tags"] == [{"TagKey": "env", "TagValue": "prod"}]
    text = fleet.assist("instance", "list").must_succeed().stdout.splitlines()
    assert text[0].split() == ["INSTANCE", "NAME", "CONNECTED", "RUNNING", "SYSTEM", "AGENT", "TAGS"]
    assert max(map(len, text)) <= 100

    def ids(*arguments: str) -> set[str]:
        outcome = fleet.assist("instance", "list", "--output", "json", *arguments)
        return {one["InstanceId"] for one in outcome.must_succeed().json}

    assert ids("--connected") == {"i-web1", "i-web2"}
    assert ids("--not-connected") == {"i-away"}
    assert ids("--tag", "env=test") == {"i-web1", "i-web2"}
    assert ids("--tag", "env") == {"i-web1", "i-web2", "i-away"}
    assert ids("--name", "on a *") == {"i-away"}
    assert ids("--os-type", "linux") == {"i-web1", "i-web2"}
    fleet.assist("instance", "remove", "i-away").must_succeed()
    assert ids() == {"i-web1", "i-web2"}


def test_an_instance_is_added_renamed_tagged_untagged_and_removed(fleet: Fleet) -> None:
    added = fleet.assist("instance", "add", "i-db1", "--name", "db", "--tag", "role=db", "--output", "json")
    assert added.must_succeed().json["InstanceName"] == "db"
    again = fleet.assist("instance", "add", "i-db1")
    assert again.exit_code == 4
    assert again.stderr.endswith("assist instance rotate i-db1 --credentials FILE (InstanceAlreadyExists)\n")
    fleet.assist("instance", "rename", "i-db1", "第一个数据库").must_succeed()
    fleet.assist("instance", "tag", "i-db1", "env=prod", "role=primary").must_succeed()
    fleet.assist("instance", "untag", "i-db1", "env", "never-there").must_succeed()
    shown = fleet.assist("instance", "show", "i-db1", "--output", "json").must_succeed().json
    assert shown["InstanceName"] == "第一个数据库"
    assert shown["Tags"] == [{"TagKey": "role", "TagValue": "primary"}]
    assert "第一个数据库" in fleet.assist("instance", "show", "i-db1").must_succeed().stdout
    fleet.assist("instance", "remove", "i-db1").must_succeed()
    for verb, *rest in (("show",), ("rename", "x"), ("tag", "a=b"), ("untag", "a"), ("remove",)):
        outcome = fleet.assist("instance", verb, "i-db1", *rest)
        assert (outcome.exit_code, outcome.stdout) == (5, ""), str(outcome)
        assert outcome.stderr.endswith("(InvalidInstance.NotFound)\n")


def test_a_malformed_id_is_wrong_usage(fleet: Fleet) -> None:
    outcome = fleet.assist("instance", "add", "web 1")
    assert outcome.exit_code == 2
    assert outcome.stderr.endswith("(InvalidInstanceId.Malformed)\n")


def test_settings_show_their_value_source_and_help_and_no_secret(fleet: Fleet) -> None:
    address = fleet.system.redis_url.replace("redis://", "redis://someone:hidden@")
    outcome = fleet.assist("config", "show", "--redis-url", address, "--output", "json").must_succeed()
    rows = {one["Name"]: one for one in outcome.json}
    assert rows["redis_url"]["Source"] == "command line"
    assert rows["home"]["Source"] == "environment CLOUD_ASSISTANT_HOME"
    assert rows["agent.slots"] == {
        "Name": "agent.slots",
        "Value": "10",
        "Source": "default",
        "Environment": "CLOUD_ASSISTANT_AGENT_SLOTS",
        "Help": rows["agent.slots"]["Help"],
    }
    text = fleet.assist("config", "show", "--redis-url", address).must_succeed().stdout
    assert "someone@127.0.0.1" in text
    assert "hidden" not in text + outcome.stdout


def test_a_configuration_file_is_read_and_a_misspelt_name_in_it_is_an_error(fleet: Fleet) -> None:
    path = fleet.folder / "config.toml"
    path.write_text("[agent]\nslots = 3\n")
    rows = fleet.assist("config", "show", "--config", str(path), "--output", "json").must_succeed().json
    assert next(one["Value"] for one in rows if one["Name"] == "agent.slots") == "3"
    path.write_text("[agent]\nslot = 3\n")
    outcome = fleet.assist("config", "show", "--config", str(path))
    assert outcome.exit_code == 2
    assert "did you mean agent.slots?" in outcome.stderr


def test_the_version_is_data(fleet: Fleet) -> None:
    assert json.loads(fleet.assist("version", "--output", "json").stdout)["Version"]
