"""What an instance makes sure of before anything of a work order touches its disk."""

from pathlib import Path

import msgspec
import pytest

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.messages import WIRE_VERSION, Envelope, FileOrder, WorkOrder, encode
from cloud_assistant.broker_config.security.envelope_signing import seal_secrets
from cloud_assistant.broker_config.security.signing import digest, new_master_keys
from cloud_assistant.broker_config.timed.boot_bound import BOOT_FIRING_MS, NEXT_BOOT_FIRING_MS
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.trust.key_ring import KeyRing
from cloud_assistant.worker.trust.verification import Verifier

MASTER = new_master_keys()
KEY = MASTER.instance_key("i-1")
TOLERANCE_MS = 10_000
THIS, OTHER = "t-00000001", "t-00000002"
ORDER = WorkOrder(command_id="c-1", type="RunShellScript", content=b"echo 123", timeout_seconds=60)
EXECUTION = execution_id(THIS, 5, "i-1")


@pytest.fixture
def verifier(tmp_path: Path) -> Verifier:
    return Verifier("i-1", KeyRing(tmp_path, "i-1", f"k1:{KEY.hex()}"), tolerance_ms=TOLERANCE_MS)


def envelope(**fields: object) -> Envelope:
    plain: dict[str, object] = {
        "invoke_id": THIS,
        "firing_ms": 5,
        "attempt": 1,
        "digest": digest(encode(ORDER)),
        "created_ms": now_ms(),
        "expires_ms": now_ms() + 60_000,
        "nonce": "n",
    }
    return msgspec.convert({**plain, **fields}, Envelope)


def claimed(content: bytes, *, key_id: str = "k1", sealed: bytes = b"", signed_as: bytes | None = None) -> Claimed:
    mac = MASTER.sign("i-1", content if signed_as is None else signed_as, sealed=sealed)
    return Claimed(content, mac, key_id, b"", 1)


def check(verifier: Verifier, given: Envelope, execution: str = EXECUTION, forgotten_until_ms: int = 0) -> int:
    """Answer until when the start must be remembered."""
    read, until_ms = verifier.envelope(execution, claimed(encode(given)), forgotten_until_ms=forgotten_until_ms)
    assert read == given
    return until_ms


def test_the_start_is_remembered_as_long_as_the_envelope_may_be_played_back(verifier: Verifier) -> None:
    given = envelope()
    assert check(verifier, given) == given.expires_ms + TOLERANCE_MS


@pytest.mark.parametrize(
    "execution",
    [
        execution_id(OTHER, 5, "i-1"),
        execution_id(THIS, 6, "i-1"),
        execution_id(THIS, 0, "i-1"),
        execution_id(THIS, 5, "i-2"),
        "no execution",
    ],
    ids=["invocation", "due time", "no due time", "instance", "name"],
)
def test_an_envelope_is_good_for_one_execution(verifier: Verifier, execution: str) -> None:
    with pytest.raises(NotStarted, match="made for another execution") as caught:
        check(verifier, envelope(), execution)
    assert caught.value.error_code == "SignatureInvalid"


def test_a_clock_that_is_ahead_by_less_than_the_tolerance_harms_nothing(verifier: Verifier) -> None:
    check(verifier, envelope(expires_ms=now_ms() - TOLERANCE_MS // 2))
    with pytest.raises(NotStarted, match="expired") as caught:
        check(verifier, envelope(expires_ms=now_ms() - TOLERANCE_MS - 1))
    assert caught.value.error_code == "EnvelopeExpired"


def test_what_may_have_run_and_been_forgotten_does_not_run_even_with_the_clock_set_back(verifier: Verifier) -> None:
    given = envelope()
    until_ms = given.expires_ms + TOLERANCE_MS
    check(verifier, given, forgotten_until_ms=until_ms - 1)
    with pytest.raises(NotStarted, match="this clock was ahead for a while") as caught:
        check(verifier, given, forgotten_until_ms=until_ms)
    assert caught.value.error_code == "EnvelopeExpired"


# Work bound to the start of the machine


@pytest.mark.parametrize("firing_ms", [BOOT_FIRING_MS, NEXT_BOOT_FIRING_MS])
def test_an_envelope_for_the_start_of_the_machine_runs_then_and_at_no_other_time(
    verifier: Verifier, firing_ms: int
) -> None:
    given = envelope(firing_ms=firing_ms)
    assert verifier.boot_envelope(EXECUTION, claimed(encode(given))) == given
    with pytest.raises(NotStarted, match="made for another execution"):
        check(verifier, given)


@pytest.mark.parametrize(
    ("given", "execution"),
    [
        (envelope(), EXECUTION),
        (envelope(firing_ms=BOOT_FIRING_MS), execution_id(OTHER, 5, "i-1")),
        (envelope(firing_ms=BOOT_FIRING_MS), execution_id(THIS, 5, "i-2")),
        (envelope(firing_ms=BOOT_FIRING_MS), "no execution"),
    ],
    ids=["an ordinary envelope", "invocation", "instance", "name"],
)
def test_the_start_of_the_machine_runs_only_what_was_made_for_it(
    verifier: Verifier, given: Envelope, execution: str
) -> None:
    with pytest.raises(NotStarted, match="made for another execution") as caught:
        verifier.boot_envelope(execution, claimed(encode(given)))
    assert caught.value.error_code == "SignatureInvalid"


# Signatures


def test_a_refused_signature_names_the_key_that_it_was_made_with(verifier: Verifier) -> None:
    content = encode(envelope())
    forged = Claimed(content, MASTER.sign("i-2", content, "k1.7"), "k9", b"", 1)
    bare = Claimed(content, b"0" * 64, "k9", b"", 1)
    unsigned = Claimed(content, b"", "k9", b"", 1)
    for one, how in ((forged, r"its signature \(key 'k1\.7'\)"), (bare, r"\(key 'k9'\)"), (unsigned, "not signed")):
        with pytest.raises(NotStarted, match=how) as caught:
            verifier.envelope(EXECUTION, one, forgotten_until_ms=0)
        assert caught.value.error_code == "SignatureInvalid"
        assert "assist instance rotate ID --credentials FILE" in str(caught.value)
        with pytest.raises(NotStarted, match=how):
            verifier.boot_envelope(EXECUTION, one)


# Versions


@pytest.mark.parametrize("shape", [{}, {"digest": 7}], ids=["as now", "of another shape"])
def test_an_envelope_of_a_newer_version_asks_for_an_upgrade(verifier: Verifier, shape: dict[str, object]) -> None:
    content = msgspec.json.encode({**msgspec.to_builtins(envelope()), **shape, "v": WIRE_VERSION + 1})
    with pytest.raises(NotStarted, match=f"version {WIRE_VERSION + 1} .* upgrade the agent") as caught:
        verifier.envelope(EXECUTION, claimed(content), forgotten_until_ms=0)
    assert caught.value.error_code == "ClientNeedUpgrade"


@pytest.mark.parametrize("shape", [{}, {"kind": "dance"}], ids=["as now", "of another kind"])
def test_a_work_order_of_a_newer_version_asks_for_an_upgrade(verifier: Verifier, shape: dict[str, object]) -> None:
    payload = msgspec.json.encode({**msgspec.json.decode(encode(ORDER)), **shape, "v": WIRE_VERSION + 1})
    with pytest.raises(NotStarted) as caught:
        verifier.order(envelope(digest=digest(payload)), payload)
    assert caught.value.error_code == "ClientNeedUpgrade"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"v":1}', b'{"v":"new"}', b"[" * 100_000, b'{"x":' + b"[" * 100_000, b'{"v":1,"x":"\xff"}'],
)
def test_what_is_signed_and_unreadable_is_called_that(verifier: Verifier, content: bytes) -> None:
    with pytest.raises(NotStarted, match="the envelope cannot be read") as caught:
        verifier.envelope(EXECUTION, claimed(content), forgotten_until_ms=0)
    assert caught.value.error_code == "ExecutionException"
    with pytest.raises(NotStarted, match="the work order cannot be read") as caught:
        verifier.order(envelope(digest=digest(content)), content)
    assert caught.value.error_code == "ExecutionException"


# Work orders


def test_only_the_work_order_that_was_signed_is_read(verifier: Verifier) -> None:
    file = FileOrder(
        name="n",
        target_directory="/x",
        content=b"1",
        owner="",
        group="",
        mode="",
        overwrite=False,
        timeout_seconds=1,
    )
    for order in (ORDER, file):
        payload = encode(order)
        assert verifier.order(envelope(digest=digest(payload)), payload) == order
    with pytest.raises(NotStarted, match="not the one that was signed") as caught:
        verifier.order(envelope(), encode(ORDER) + b" ")
    assert caught.value.error_code == "SignatureInvalid"


# Secret parameters

WITH_SECRETS = msgspec.structs.replace(ORDER, secret_names=("token", "word"))


def with_secrets(values: dict[str, str]) -> Claimed:
    content = encode(envelope())
    return claimed(content, sealed=seal_secrets(KEY, "i-1", content, values))


def test_the_secrets_are_those_that_the_order_names(verifier: Verifier) -> None:
    values = {"token": "x", "word": "y"}
    assert verifier.secrets(with_secrets(values), WITH_SECRETS) == values
    assert verifier.secrets(with_secrets(values), ORDER) == {}
    for wrong in ({"token": "x"}, {**values, "PATH": "/evil"}):
        with pytest.raises(NotStarted, match="token, word did not come along") as caught:
            verifier.secrets(with_secrets(wrong), WITH_SECRETS)
        assert caught.value.error_code == "SignatureInvalid"
    with pytest.raises(NotStarted, match="did not come along"):
        verifier.secrets(claimed(encode(envelope())), WITH_SECRETS)


def test_secrets_of_another_envelope_are_refused_with_the_reason(verifier: Verifier) -> None:
    other = claimed(b"another", sealed=seal_secrets(KEY, "i-1", b"another", {"token": "x", "word": "y"}))
    mixed = Claimed(encode(envelope()), other.mac, "k1", b"", 1)
    with pytest.raises(NotStarted, match=r"refused: .*does not open") as caught:
        verifier.secrets(mixed, WITH_SECRETS)
    assert caught.value.error_code == "SignatureInvalid"
