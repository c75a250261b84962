"""What a box of announcements keeps for a reader who is slow, or never comes."""

from cloud_assistant.producer.following.announcements import MISSED, Announcement, Box


def end(number: int, row: bytes = b"") -> Announcement:
    return Announcement("end", f"t-1.0@i-{number}", "Success", row)


def test_ends_are_taken_in_their_order_and_as_many_as_are_wanted() -> None:
    box = Box("t-1", "channel", wants_output=False)
    for number in range(5):
        box.put(end(number, b"row"))
    assert box.take(2) == [end(0, b"row"), end(1, b"row")]
    assert len(box.take(9)) == 3
    assert box.take(9) == []


def test_a_full_box_says_that_something_was_missed() -> None:
    box = Box("t-1", "channel", wants_output=False, most_count=3)
    for number in range(4):
        box.put(end(number))
    assert box.take(9) == [MISSED, end(3)]


def test_rows_are_kept_within_a_limit_and_their_ends_all_the_same() -> None:
    box = Box("t-1", "channel", wants_output=False)
    row = b"x" * 100_000
    for number in range(4):
        box.put(end(number, row))
    assert [len(one.row) for one in box.take(9)] == [100_000, 100_000, 0, 0]
    box.put(end(5, row))
    assert [len(one.row) for one in box.take(9)] == [100_000], "what was taken makes room"


def test_after_it_ran_over_rows_are_kept_again() -> None:
    box = Box("t-1", "channel", wants_output=False, most_count=2)
    row = b"x" * 100_000
    for number in range(4):
        box.put(end(number, row))
    assert [len(one.row) for one in box.take(9)] == [0, 100_000]
    for number in range(2):
        box.put(end(number, row))
    assert [len(one.row) for one in box.take(9)] == [100_000, 100_000]
