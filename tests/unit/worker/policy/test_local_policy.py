"""What each rule of a local policy forbids, and that nothing slips past by being written in another way."""

import hashlib
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud_assistant.broker_config.programs.counted import counted
from cloud_assistant.broker_config.security.content_signing import public_text, sign_content
from cloud_assistant.worker.policy.local_policy import Wish, explain, parse_policy

MONDAY_NOON_MS = 1_795_435_200_000
SCRIPT = b"echo allowed\n"
DIGEST = hashlib.sha256(SCRIPT).hexdigest()
KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def script(
    content: bytes = SCRIPT,
    *,
    username: str = "app",
    launcher: str = "",
    timeout_seconds: int = 60,
    grace_seconds: float = 0,
) -> Wish:
    return Wish(username, content, launcher, timeout_seconds, grace_seconds)


def file(directory: str, username: str = "app") -> Wish:
    return Wish(username, b"x", directory=directory)


def refusal(policy: str, wish: Wish) -> str:
    return parse_policy(policy).refusal(wish, MONDAY_NOON_MS)


def test_an_empty_policy_forbids_files_only() -> None:
    assert refusal("", script()) == ""
    assert refusal("", file("/srv")).startswith("files:")
    assert refusal("", file("")).startswith("files:")


@pytest.mark.parametrize("wish", [script(), file("/srv")])
def test_switched_off_means_nothing(wish: Wish) -> None:
    assert refusal("enabled = false\n[files]\nallowed = true", wish).startswith("enabled:")


@pytest.mark.parametrize(
    ("policy", "wish", "rule"),
    [
        ("users = ['app']", script(), ""),
        ("users = ['app']", script(username="root"), "users"),
        ("users = []", script(), "users"),
        ("users = ['app']\n[files]", file("/srv", "root"), "users"),
        (f"commands = ['sha256:{DIGEST}']", script(), ""),
        (f"commands = ['{DIGEST}']", script(), ""),
        (f"commands = ['{DIGEST}']", script(SCRIPT + b"\n"), "commands"),
        (f"commands = ['{DIGEST}']", script(launcher="sh -c evil"), "commands"),
        ("commands = []", script(), "commands"),
        ("timeout_seconds_max = 60", script(), ""),
        ("timeout_seconds_max = 60", script(timeout_seconds=1), ""),
        ("timeout_seconds_max = 59", script(), "timeout_seconds_max"),
        ("timeout_seconds_max = 59", script(timeout_seconds=0), "timeout_seconds_max"),
        ("timeout_seconds_max = 60", script(grace_seconds=60), ""),
        ("timeout_seconds_max = 60", script(grace_seconds=60.1), "timeout_seconds_max"),
        ("", script(grace_seconds=86_400), ""),
        ("timezone = 'UTC'\nhours = ['Mon 11:00-13:00']", script(), ""),
        ("timezone = 'UTC'\nhours = ['Tue 11:00-13:00']", script(), "hours"),
        ("timezone = 'UTC'\nhours = ['Tue 11:00-13:00']\n[files]", file("/srv"), "hours"),
        ("[files]", file("/anywhere"), ""),
        ("[files]\nallowed = false\ndirectories = ['/srv']", file("/srv"), "files"),
        ("[files]\ndirectories = ['/srv/app']", file("/srv/app"), ""),
        ("[files]\ndirectories = ['/srv/app']", file("/srv/app/deep/er"), ""),
        ("[files]\ndirectories = ['/srv/app']", file("/srv/application"), "files"),
        ("[files]\ndirectories = ['/srv/app']", file("/srv/app/../../etc"), "files"),
        ("[files]\ndirectories = ['/srv/app']", file("/"), "files"),
        ("[files]\ndirectories = []", file("/srv"), "files"),
    ],
)
def test_a_rule_forbids_what_it_says(policy: str, wish: Wish, rule: str) -> None:
    found = refusal(policy, wish)
    assert found.partition(":")[0] == rule


def test_a_link_out_of_an_allowed_folder_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "out").symlink_to(tmp_path)
    policy = f"[files]\ndirectories = ['{tmp_path}/allowed']"
    assert refusal(policy, file(f"{tmp_path}/allowed/in")) == ""
    assert refusal(policy, file(f"{tmp_path}/allowed/out")).startswith("files:")


def test_an_allowed_folder_may_be_named_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    policy = f"[files]\ndirectories = ['{tmp_path}/link']"
    assert refusal(policy, file(f"{tmp_path}/link/in")) == refusal(policy, file(f"{tmp_path}/real")) == ""
    assert refusal(policy, file(str(tmp_path))).startswith("files:")


def test_a_signed_script_runs_and_an_altered_one_does_not() -> None:
    policy = f"signers = ['{public_text(KEY)}']"
    signed = sign_content(SCRIPT, KEY)
    assert refusal(policy, script(signed)) == ""
    assert refusal(policy, script(signed.replace(b"allowed", b"evil   "))).startswith("signers:")
    assert refusal(policy, script(SCRIPT)).startswith("signers:")
    assert refusal(policy, script(signed, launcher="python3")).startswith("commands:")


def test_either_digest_or_signer_is_enough() -> None:
    policy = f"commands = ['{DIGEST}']\nsigners = ['{public_text(KEY)}']"
    assert refusal(policy, script()) == ""
    assert refusal(policy, script(sign_content(b"other", KEY))) == ""
    assert refusal(policy, script(b"other")).startswith("commands and signers:")


@pytest.mark.parametrize(
    "text",
    [
        "enabled = 'no'",
        "enable = false",
        "users = 'root'",
        "commands = ['md5:00']",
        "commands = ['SHA256:00']",
        "signers = ['ed25519:AAAA']",
        "hours = ['08:00-18:00']",
        "timezone = 'UTC'",
        "timeout_seconds_max = -1",
        "[files]\ndirectories = ['relative']",
        "[file]\nallowed = false",
        "not toml",
    ],
)
def test_what_is_not_understood_is_no_policy(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_policy(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("enable = false", "there is no rule 'enable'; there are enabled, users, commands, signers, hours, timezone, "),
        ("[files]\ndirectory = ['/srv']", "[files] has no rule 'directory'; it has allowed, directories"),
    ],
)
def test_a_rule_that_is_unknown_is_named_with_those_there_are(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"^" + re.escape(said)):
        parse_policy(text)


def test_a_policy_explains_itself() -> None:
    text = "users = ['app']\ntimezone = 'UTC'\nhours = ['08:00-18:00']\ntimeout_seconds_max = 9"
    lines = "\n".join(explain(parse_policy(text)))
    for word in ("app", "Only: 08:00-18:00 (UTC)", "9 s", "nowhere", "Any script"):
        assert word in lines
    assert explain(parse_policy("enabled = false")) == ["Nothing runs: the switch (enabled) is off."]


def test_a_policy_without_rules_for_scripts_says_what_it_leaves_open() -> None:
    assert explain(parse_policy("[files]")) == [
        "At any hour.",
        "As any user that the agent may become.",
        "Any script.",
        "Files may be written anywhere.",
    ]


@pytest.mark.parametrize(("digests_count", "signers_count"), [(2, 0), (0, 1), (2, 1)])
def test_a_policy_says_which_scripts_alone_it_lets_run(digests_count: int, signers_count: int) -> None:
    digests = [digest * 64 for digest in "ab"[:digests_count]]
    rules = [("commands", digests), ("signers", [public_text(KEY)] * signers_count)]
    lines = explain(parse_policy("\n".join(f"{name} = {rule}" for name, rule in rules if rule)))
    digests_text, keys_text = counted(digests_count, "digest"), counted(signers_count, "key")
    assert f"Only scripts with one of {digests_text}, or signed by one of {keys_text}; no launcher." in lines
    assert "Any script." not in lines
