import pytest

from harness.eventually import always, eventually


def test_the_first_truthy_value_is_returned() -> None:
    values = iter([None, 0, "", "ready"])
    assert eventually(lambda: next(values), every_seconds=0) == "ready"


def test_a_wait_in_vain_names_what_was_awaited_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.01 s: the row is final \(last value: ''\)"):
        eventually(str, within_seconds=0.01, what="the row is final")


def test_a_failed_assertion_inside_means_not_yet() -> None:
    tries = iter([False, False, True])

    def settled() -> bool:
        assert next(tries), "still moving"
        return True

    assert eventually(settled, every_seconds=0)


def test_the_last_failed_assertion_is_shown_when_time_is_up() -> None:
    def never() -> bool:
        raise AssertionError("two rows instead of one")

    with pytest.raises(AssertionError, match="two rows instead of one"):
        eventually(never, within_seconds=0.01)


def test_a_broken_predicate_ends_the_wait_at_once() -> None:
    calls = []

    def broken() -> bool:
        calls.append(1)
        raise KeyError("typo")

    with pytest.raises(KeyError):
        eventually(broken, within_seconds=5)
    assert len(calls) == 1


def test_always_passes_when_the_predicate_holds_all_the_time() -> None:
    always(lambda: True, for_seconds=0.02)


def test_always_fails_at_the_first_falsy_value() -> None:
    values = iter([True, True, False])
    with pytest.raises(AssertionError, match="one agent only"):
        always(lambda: next(values), for_seconds=5, what="one agent only", every_seconds=0)
