"""`assist audit` and limited access keys, as an operator uses them."""

import json
from pathlib import Path

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from harness.system import System


def test_an_operator_lists_verifies_and_exports_and_is_told_of_a_changed_entry(system: System, tmp_path: Path) -> None:
    # Nothing before the master key: what has no seal could be anybody's.
    system.assist("key", "create").must_succeed()
    system.assist("instance", "add", "i-1").must_succeed()
    system.assist("instance", "tag", "i-1", "env=test").must_succeed()
    assert system.assist("run", "true", "--instance", "i-none", "--no-wait").exit_code == 5

    shown = system.assist("audit", "list").must_succeed().stdout
    assert "AddInstance" in shown
    assert "begun" not in shown
    refused = system.assist("audit", "list", "--outcome", "refused", "--output", "json").must_succeed().json
    assert [(one["Action"], one["Code"]) for one in refused] == [("RunCommand", "InvalidInstance.NotFound")]
    assert system.assist("audit", "list", "--who", "nobody", "--output", "json").must_succeed().json == []
    assert len(system.assist("audit", "list", "--since", "1h", "--output", "json").must_succeed().json) == 7

    assert "1 to 7" in system.assist("audit", "verify").must_succeed().stdout
    export = tmp_path / "audit.jsonl"
    system.assist("audit", "export", str(export)).must_succeed()
    assert system.assist("audit", "export", "-").must_succeed().stdout == export.read_text()
    system.assist("audit", "verify", "--against", str(export)).must_succeed()

    redis = Redis(system.redis_url)
    *kept, cut = redis.call("XRANGE", keys.AUDIT, "-", "+")
    redis.call("XDEL", keys.AUDIT, cut[0])
    last = kept[-1][1]
    redis.call("HSET", keys.AUDIT_HEAD, "number", last[1], "mac", last[5])
    redis.close()
    outcome = system.assist("audit", "verify", "--output", "json")
    assert outcome.exit_code == 4
    assert (outcome.json["Verified"], outcome.json["BadEntry"]) == (False, 7)
    assert "audit-anchor.json" in outcome.json["Problem"]
    assert system.assist("audit", "verify", "--against", str(export)).exit_code == 4
    (system.folder / "operator" / "audit-anchor.json").unlink()
    # Without any note from elsewhere a cut end cannot be seen.
    system.assist("audit", "verify").must_succeed()
    assert "audit.jsonl" in system.assist("audit", "verify", "--against", str(export)).stderr


def test_the_limits_of_a_key_are_set_shown_replaced_and_taken_off(system: System) -> None:
    made = system.assist(
        *("access-key", "create", "--name", "team", "--instance-tag", "env=test", "--user-name", "deploy"),
        *("--output", "json"),
    ).must_succeed()  # fmt: skip
    key_id = made.json["AccessKeyId"]

    def scope() -> object:
        [listed] = system.assist("access-key", "list", "--output", "json").must_succeed().json
        return listed["Scope"]

    assert scope() == {"InstanceTags": {"env": "test"}, "UserNames": ["deploy"]}
    system.assist("access-key", "update", key_id, "--role", "viewer").must_succeed()
    assert scope() == {"InstanceTags": {"env": "test"}, "UserNames": ["deploy"]}
    system.assist("access-key", "update", key_id, "--action", "Describe*").must_succeed()
    assert scope() == {"Actions": ["Describe*"]}
    assert "action=Describe*" in system.assist("access-key", "list").must_succeed().stdout
    unlimited = system.assist("access-key", "update", key_id, "--no-limits").must_succeed()
    # "limited to: nothing" may be read as a key that may do nothing.
    assert unlimited.stderr.rstrip().endswith(", not limited")
    assert scope() == {}
    assert system.assist("access-key", "update", key_id).exit_code == 2
    assert system.assist("access-key", "update", "CANOBODY", "--role", "viewer").exit_code == 5
    entries = system.assist("audit", "list", "--action", "UpdateAccessKey", "--output", "json").must_succeed().json
    facts = [one["Facts"].get("Scope", "") for one in entries if one["Outcome"] == "done"]
    assert facts == ["", "action=Describe*", "instance-tag=env=test user-name=deploy"]
    assert [one["Code"] for one in entries if one["Outcome"] == "refused"] == ["InvalidAccessKeyId.NotFound"]
    assert made.json["AccessKeySecret"] not in json.dumps(entries)
