"""Identifiers."""

import pytest

from cloud_assistant.broker_config import ids


def test_new_ids_are_recognised_sorted_by_age_and_unique() -> None:
    made = [ids.new_id("t") for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(ids.is_invocation_id(one) for one in made)
    assert [one[:12] for one in made] == sorted(one[:12] for one in made)


def test_each_random_digit_of_an_id_carries_five_bits() -> None:
    digits = [ids.new_id("t")[12:] for _ in range(1000)]
    assert {len(one) for one in digits} == {16}
    # The chance that one of 32 is missing at one of 16 places is 1e-11.
    assert all(len(set(at_one_place)) == 32 for at_one_place in zip(*digits, strict=True))


@pytest.mark.parametrize(
    "text", ["c-holvrhuclr052i9sh7dypg7bm9", "", "t-", "t-../../etc", "t-0000 0000", "t-" + "0" * 41]
)
def test_an_id_of_another_kind_is_not_recognised(text: str) -> None:
    assert not ids.is_invocation_id(text)


@pytest.mark.parametrize("text", ["i-1", "i-web.prod-01", "mi-0abc", "i-" + "a" * 63, "i-A_b"])
def test_instance_ids_of_owners_are_accepted(text: str) -> None:
    assert ids.is_instance_id(text)


@pytest.mark.parametrize(
    "text", ["", "i-", "web1", "i-a b", "i-a}", "i-a{b", "i-../x", "i-a@b", "i-.a", "i-a-", "i-" + "a" * 64, "i-a\n"]
)
def test_instance_ids_that_could_leave_a_key_or_a_folder_are_refused(text: str) -> None:
    assert not ids.is_instance_id(text)


def test_an_execution_id_comes_apart_as_it_was_put_together() -> None:
    invoke_id = ids.new_id("t")
    text = ids.execution_id(invoke_id, 1795404496716, "i-web.prod-01")
    assert ids.split_execution_id(text) == (invoke_id, 1795404496716, "i-web.prod-01")


@pytest.mark.parametrize("text", ["", "t-1.0@i-1", "t-0000000000.x@i-1", "t-0000000000.0@web", "c-0000000000.0@i-1"])
def test_other_texts_are_no_execution_ids(text: str) -> None:
    assert ids.split_execution_id(text) is None


@pytest.mark.parametrize("firing", ["00", "000000000000000", "07", "٠", "𝟎", "²", "+0", "-1", "0_0", " 0", ""])
def test_an_execution_has_one_name_only(firing: str) -> None:
    # What an instance ran is remembered by its name: another way of writing the same number would run it again.
    assert ids.split_execution_id(f"t-0000000000.{firing}@i-1") is None


def test_only_an_execution_of_that_instance_is_one_of_its_own() -> None:
    own = ids.execution_id(ids.new_id("t"), 0, "i-1")
    assert ids.is_execution_of(own, "i-1")
    assert not ids.is_execution_of(own, "i-2")
    assert not ids.is_execution_of("junk", "i-1")
