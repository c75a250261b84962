"""What is held of unfinished requests is bounded; what has been coming the longest goes first."""

from cloud_assistant.producer.gateway.serving.request_memory import RequestMemory, RequestPart


class Senders:
    """Parts by their number, and those that were given up."""

    def __init__(self, limit_bytes: int, count: int) -> None:
        self.given_up: list[int] = []
        self.noted = 0
        memory = RequestMemory(limit_bytes, self._note)
        self.parts: list[RequestPart] = [
            memory.part(lambda number=number: self.given_up.append(number))  # type: ignore[misc]
            for number in range(count)
        ]

    def _note(self) -> None:
        self.noted += 1


def test_the_first_of_those_that_still_come_are_given_up_until_the_rest_fits() -> None:
    senders = Senders(10, 4)
    for part, size_bytes in zip(senders.parts, (3, 3, 3), strict=False):
        part.hold(size_bytes, is_coming=True)
    assert senders.given_up == []
    senders.parts[3].hold(6, is_coming=True)
    assert (senders.given_up, senders.noted) == ([0, 1], 2)
    assert [part.size_bytes for part in senders.parts] == [0, 0, 3, 6]


def test_what_has_come_whole_counts_and_stays() -> None:
    senders = Senders(10, 3)
    senders.parts[0].hold(8, is_coming=True)
    senders.parts[0].hold(8, is_coming=False)
    senders.parts[1].hold(3, is_coming=True)
    assert senders.given_up == [1]
    senders.parts[0].release()
    senders.parts[2].hold(10, is_coming=True)
    assert senders.given_up == [1]


def test_one_that_is_larger_than_all_there_is_goes_itself() -> None:
    senders = Senders(10, 1)
    senders.parts[0].hold(11, is_coming=True)
    assert senders.given_up == [0]


def test_who_began_first_goes_first_however_much_has_come_since() -> None:
    senders = Senders(10, 3)
    for number, size_bytes in ((0, 4), (1, 4), (0, 5), (2, 2)):
        senders.parts[number].hold(size_bytes, is_coming=True)
    assert senders.given_up == [0]
