from cloud_assistant.worker.queue.watch import Advice, QueueWatch


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_queue_that_moves_is_left_alone() -> None:
    clock = Clock()
    watch = QueueWatch(10, now=clock)
    for beat in range(20):
        clock.now += 5
        assert watch.advise(queue_count=3, has_room=True, taken_count=beat) is Advice.NOTHING


def test_full_slots_are_no_reason_to_worry() -> None:
    clock = Clock()
    watch = QueueWatch(10, now=clock)
    for _ in range(20):
        clock.now += 5
        assert watch.advise(queue_count=3, has_room=False, taken_count=7) is Advice.NOTHING


def test_a_queue_that_stands_still_is_reconnected_once_and_then_given_up() -> None:
    clock = Clock()
    watch = QueueWatch(10, now=clock)
    advice = []
    for _ in range(8):
        advice.append(watch.advise(queue_count=1, has_room=True, taken_count=7))
        clock.now += 4

    nothing = Advice.NOTHING
    assert advice == [nothing, nothing, nothing, nothing, Advice.RECONNECT, nothing, Advice.RESTART, Advice.RESTART]


def test_a_queue_that_stands_still_once_more_is_reconnected_once_more() -> None:
    clock = Clock()
    watch = QueueWatch(10, now=clock)
    advice = []
    for taken_count in (7, 7, 7, 8, 8, 8):
        advice.append(watch.advise(queue_count=1, has_room=True, taken_count=taken_count))
        clock.now += 11

    assert advice == [Advice.NOTHING, Advice.NOTHING, Advice.RECONNECT] * 2


def test_one_message_seen_by_chance_after_a_long_idle_time_is_no_reason_to_worry() -> None:
    clock = Clock()
    watch = QueueWatch(10, now=clock)
    watch.advise(queue_count=0, has_room=True, taken_count=7)
    clock.now += 1000

    assert watch.advise(queue_count=1, has_room=True, taken_count=7) is Advice.NOTHING
