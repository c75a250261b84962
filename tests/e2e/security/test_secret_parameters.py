"""Secret parameters from the operator's file to the script's environment, and nowhere else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from harness.redis_server import RedisServer

from .conftest import SecureSystem

pytestmark = pytest.mark.slow

VALUE = "Xq7-canary/of a+secret"
ECHO = 'printf "%s\\n" "$CA_PARAM_TOKEN"; printf "%s" "$CA_PARAM_TOKEN" >&2; test "$CA_PARAM_TOKEN" = "$(cat {file})"'


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(VALUE + "\n")
    return path


def results_of(secure: SecureSystem, invoke_id: str) -> str:
    return secure.assist("invocation", "results", invoke_id, "--output", "json").must_succeed().stdout


def everything_in(server: RedisServer) -> str:
    """All that was ever written to Redis: its append-only file, which is not compressed before it is rewritten."""
    files = [one.read_bytes() for one in server.folder.rglob("*") if one.is_file()]
    return b"\0".join(files).decode("latin-1")


def test_a_script_gets_the_value_and_its_output_shows_a_mask(
    secure: SecureSystem, redis_server: RedisServer, token: Path
) -> None:
    secure.start_instance()
    outcome = secure.assist(
        "run", ECHO.format(file=token), "--instance", "i-one", "--secret-parameter", f"token=@{token}", "--output",
        "json",
    ).must_succeed()  # fmt: skip
    [result] = outcome.json["InvocationResults"]
    assert result["StandardOutput"] == "******\n"
    assert result["StandardError"] == "******"
    assert VALUE not in outcome.stdout + outcome.stderr
    assert VALUE not in everything_in(redis_server)


def test_live_output_is_masked_across_pauses(secure: SecureSystem, redis_server: RedisServer, token: Path) -> None:
    secure.start_instance()
    half = len(VALUE) // 2
    script = f"""
printf 'before '; printf '%s' "$CA_PARAM_TOKEN" | head -c {half}; sleep 0.4
printf '%s' "$CA_PARAM_TOKEN" | tail -c +{half + 1}; echo ' after'; sleep 0.4; printf '%s' "$CA_PARAM_TOKEN"
"""
    outcome = secure.assist("run", script, "--instance", "i-one", "--secret-parameter", f"token=@{token}")
    assert outcome.must_succeed().stdout == "before ****** after\n******"
    assert VALUE not in everything_in(redis_server)


@pytest.mark.parametrize(
    ("source", "given"), [("token=-", VALUE + "\n"), ("token=env:DEPLOY_TOKEN", None)], ids=["stdin", "environment"]
)
def test_a_value_comes_from_standard_input_or_the_environment(
    secure: SecureSystem, token: Path, source: str, given: str | None
) -> None:
    secure.start_instance()
    outcome = secure.assist(
        "run", ECHO.format(file=token), "--instance", "i-one", "--secret-parameter", source,
        input=given, environment={"DEPLOY_TOKEN": VALUE},
    )  # fmt: skip
    assert outcome.must_succeed().stdout == "******\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "true", "--secret-parameter", f"token={VALUE}"), "must not stand in the command line"),
        (("run", "true", "--secret-parameter", "token=@/nowhere"), "cannot read the secret"),
        (("run", "true", "--secret-parameter", "token=env:NOT_THERE"), "no environment variable"),
        (("run", "-", "--secret-parameter", "token=-"), "both come from standard input"),
        (("run", "echo {{token}}", "--enable-parameter", "--secret-parameter", "token=env:SECRET"), "CA_PARAM_TOKEN"),
    ],
)
def test_a_value_in_the_wrong_place_is_refused_and_not_repeated(
    secure: SecureSystem, arguments: tuple[str, ...], words: str
) -> None:
    secure.add_instance("i-one")
    outcome = secure.assist(*arguments, "--instance", "i-one", input="x", environment={"SECRET": VALUE})
    assert outcome.exit_code == 2
    assert words in outcome.stderr
    assert VALUE not in outcome.stderr


def test_a_stored_command_declares_its_secrets(secure: SecureSystem, token: Path) -> None:
    secure.start_instance()
    made = secure.assist("command", "create", ECHO.format(file=token), "--name", "use", "--secret-parameter", "token")
    command_id = made.must_succeed().stdout.strip()
    assert "Secrets" in secure.assist("command", "show", command_id).stdout
    missing = secure.assist("invoke", command_id, "--instance", "i-one")
    assert (missing.exit_code, "has no value" in missing.stderr) == (2, True)
    clear = secure.assist("invoke", command_id, "--instance", "i-one", "--parameter", f"token={VALUE}")
    assert (clear.exit_code, "is a secret" in clear.stderr) == (2, True)
    outcome = secure.assist("invoke", command_id, "--instance", "i-one", "--secret-parameter", f"TOKEN=@{token}")
    assert outcome.must_succeed().stdout == "******\n"


def test_without_a_master_key_nothing_is_sent(redis_server: RedisServer, secure: SecureSystem, token: Path) -> None:
    with redis_server.client() as client:
        client.zadd(keys.INSTANCES, {"i-bare": 1})
    for schedule in ((), ("--frequency", "rate(1h)")):
        outcome = secure.assist(
            "run", "true", "--instance", "i-bare", "--secret-parameter", f"token=@{token}", *schedule
        )
        assert outcome.exit_code == 4
        assert "assist key create" in outcome.stderr
    assert VALUE not in everything_in(redis_server)


def test_a_schedule_keeps_its_secrets_sealed_and_fires_with_them(
    secure: SecureSystem, redis_server: RedisServer, token: Path
) -> None:
    secure.start_instance()
    secure.start_beat(
        environment={
            "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(secure.folder / "operator" / "master-key.json"),
        }
    )
    invoke_id = secure.assist(
        "run", ECHO.format(file=token), "--instance", "i-one", "--secret-parameter", f"token=@{token}",
        "--frequency", "0 0 3 1 1 ?", "--timezone", "UTC",
    ).must_succeed().stdout.strip()  # fmt: skip

    # A new value in clear, under whatever message, would be stored and shown.
    for more in ((), ("--parameter", "who=me")):
        refused = secure.assist("timed", "modify", invoke_id, "--parameter", "TOKEN=another value", *more)
        assert (refused.exit_code, "SecretInClear" in refused.stderr) == (2, True)
        assert "--secret-parameter" in refused.stderr
    # Another schedule, the same secret.
    soon = datetime.now(UTC) + timedelta(seconds=10)
    secure.assist("timed", "modify", invoke_id, "--frequency", f"at({soon:%Y-%m-%d %H:%M:%S})").must_succeed()
    assert VALUE not in everything_in(redis_server)
    secure.wait_for_state(invoke_id, "Success", within_seconds=40)
    shown = results_of(secure, invoke_id)
    assert (VALUE in shown, "******\\n" in shown) == (False, True)
    assert VALUE not in everything_in(redis_server)


def test_a_schedule_gets_another_value_for_one_of_its_secrets(
    secure: SecureSystem, redis_server: RedisServer, token: Path, tmp_path: Path
) -> None:
    secure.start_instance()
    secure.start_beat(
        environment={
            "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(secure.folder / "operator" / "master-key.json"),
        }
    )
    other = tmp_path / "other.txt"
    other.write_text("stays/as-it-was")
    script = f'test "$CA_PARAM_OTHER" = "$(cat {other})" && {{ {ECHO.format(file=token)}; }}'
    first = ("--secret-parameter", f"token=@{token}", "--secret-parameter", f"OTHER=@{other}")
    never = ("--frequency", "0 0 3 1 1 ?", "--timezone", "UTC")
    invoke_id = secure.assist("run", script, "--instance", "i-one", *first, *never).must_succeed().stdout.strip()
    unknown = secure.assist("timed", "modify", invoke_id, "--secret-parameter", f"ELSE=@{token}")
    assert (unknown.exit_code, "it has: token, OTHER" in unknown.stderr) == (2, True)

    new_value = "Zr9-another/of a+secret"
    token.write_text(new_value + "\n")
    secure.assist("timed", "modify", invoke_id, "--secret-parameter", f"TOKEN=@{token}").must_succeed()
    soon = datetime.now(UTC) + timedelta(seconds=10)
    secure.assist("timed", "modify", invoke_id, "--frequency", f"at({soon:%Y-%m-%d %H:%M:%S})").must_succeed()
    secure.wait_for_state(invoke_id, "Success", within_seconds=40)
    shown = results_of(secure, invoke_id)
    assert (new_value in shown, "******\\n" in shown) == (False, True)
    assert new_value not in everything_in(redis_server)
    audited = secure.assist("audit", "list", "--output", "json").must_succeed().stdout
    assert ("secret_parameters" in audited, new_value in audited) == (True, False)


def test_values_that_were_taken_away_on_the_way_stop_the_script(
    secure: SecureSystem, redis_server: RedisServer, token: Path, tmp_path: Path
) -> None:
    """Whoever writes to Redis cannot have a script run with an empty secret, or with that of another execution."""
    file = secure.add_instance("i-one")
    start = [
        "run",
        f"touch {tmp_path}/ran",
        "--instance",
        "i-one",
        "--no-wait",
        "--secret-parameter",
        f"token=@{token}",
    ]
    first, second = (secure.assist(*start).must_succeed().stdout.strip() for _ in range(2))
    rows = [keys.execution("i-one", f"{one}.0@i-one") for one in (first, second)]
    with redis_server.client() as client:
        macs = [str(client.hget(row, "mac")) for row in rows]
        key_id, mac, _ = macs[0].split(":", 2)
        client.hset(rows[0], "mac", f"{key_id}:{mac}")
        client.hset(rows[1], "mac", ":".join([*macs[1].split(":", 2)[:2], macs[0].split(":", 2)[2]]))
    secure.start_agent("i-one", credentials=file)
    for one in (first, second):
        secure.wait_for_state(one, "Invalid")
        assert "SignatureInvalid" in results_of(secure, one)
    assert not (tmp_path / "ran").exists()
