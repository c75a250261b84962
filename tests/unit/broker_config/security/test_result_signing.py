"""The MAC over the end of an execution covers all that its agent says of it."""

import pytest

from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.security.result_signing import COVERED, FIELD, is_signed_result, sign_result
from cloud_assistant.broker_config.states import ExecutionState

KEY = b"k" * 32
WHOLE = Outcome(
    state=ExecutionState.FAILED,
    started_ms=1,
    finished_ms=2,
    exit_code=3,
    signal=4,
    error_code="code",
    error_info="info",
    output=KeptStreams(data=b"output", runs=((2, 6),), dropped_bytes=5, gap_at=6),
    survivors=7,
    left_running=8,
    steps=({"step": "kill"},),
    notes=("note",),
)
FIELDS = {**WHOLE.fields(), "state": str(WHOLE.state)}
ROW = {name.encode(): one if isinstance(one, bytes) else str(one).encode() for name, one in FIELDS.items()}
SIGNED = {**ROW, FIELD.encode(): sign_result("k1", KEY, "t-1", FIELDS)}


def test_every_field_of_an_end_is_covered() -> None:
    assert set(FIELDS) == COVERED
    assert is_signed_result(KEY, "t-1", SIGNED)
    assert not is_signed_result(KEY, "t-2", SIGNED)
    assert not is_signed_result(b"x" * 32, "t-1", SIGNED)


@pytest.mark.parametrize("name", sorted(ROW))
def test_no_field_of_an_end_can_be_changed_taken_away_or_added(name: bytes) -> None:
    assert not is_signed_result(KEY, "t-1", {**SIGNED, name: SIGNED[name] + b"0"})
    without = {one: value for one, value in SIGNED.items() if one != name}
    assert not is_signed_result(KEY, "t-1", without)
    fewer = {one: value for one, value in FIELDS.items() if one.encode() != name}
    assert not is_signed_result(KEY, "t-1", {**SIGNED, FIELD.encode(): sign_result("k1", KEY, "t-1", fewer)})


def test_bytes_cannot_be_shifted_from_one_field_into_the_next() -> None:
    made = sign_result("k1", KEY, "t-1", {"error_code": "ab", "error_info": "c"})
    shifted = {b"error_code": b"a", b"error_info": b"bc", FIELD.encode(): made}
    assert not is_signed_result(KEY, "t-1", shifted)
