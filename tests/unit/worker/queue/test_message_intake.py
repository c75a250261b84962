import threading
from collections.abc import Callable
from typing import Any

import pytest
from celery.exceptions import Ignore, InvalidTaskError

from cloud_assistant.worker.queue.message_intake import MessageIntake
from cloud_assistant.worker.queue.tasks import ExecutionNotSuccessful
from cloud_assistant.worker.slots import Slots
from harness.eventually import eventually

ID = "t-aaaaaaaa.0@i-one"


class Message:
    content_type = "application/json"

    def __init__(self, body: str) -> None:
        self.body = body


class Box:
    """Takes events as a monitor would."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def send(self, type: str, **fields: Any) -> None:
        self.events.append((type, fields))


class Task:
    name = "the task"

    def __init__(self, end: Callable[[], None]) -> None:
        self.end = end
        self.calls: list[tuple[str, str]] = []

    def run(self, execution_id: str, payload_token: str) -> None:
        self.calls.append((execution_id, payload_token))
        self.end()


class Consumer:
    connection_errors = ()


def fail() -> None:
    raise ExecutionNotSuccessful("ExitCodeNonzero: exit code 3")


def ignore() -> None:
    raise Ignore


def take(task: Task, box: Box, body: str = f'[["{ID}", "token"], {{}}, null]') -> list[tuple[Any, ...]]:
    """Hand one message to an intake and wait until it was worked on; returns the acknowledgements."""
    acknowledged: list[tuple[Any, ...]] = []
    intake = MessageIntake(Slots(1), box)  # type: ignore[arg-type]
    on_message = intake.strategy(task, None, Consumer())
    on_message(Message(body), None, lambda *given: acknowledged.append(given), None, None)
    assert intake.taken_count == 1
    eventually(lambda: not intake.has_message(ID), 5)
    return acknowledged


@pytest.mark.parametrize(("end", "last"), [(lambda: None, "task-succeeded"), (fail, "task-failed")])
def test_a_message_is_worked_on_and_monitors_see_it(end: Callable[[], None], last: str) -> None:
    task, box = Task(end), Box()

    acknowledged = take(task, box)

    assert task.calls == [(ID, "token")]
    assert len(acknowledged) == 1
    assert [type for type, _ in box.events] == ["task-received", "task-started", last]
    assert all(fields["uuid"] == ID for _, fields in box.events)
    assert "token" not in repr(box.events)
    assert 0 <= box.events[-1][1].get("runtime", 0) < 5


def test_a_failure_shows_its_reason() -> None:
    box = Box()
    take(Task(fail), box)

    assert box.events[-1][1]["exception"] == "ExitCodeNonzero: exit code 3"


def test_a_copy_of_a_message_does_not_change_how_the_first_one_ended() -> None:
    box = Box()
    take(Task(ignore), box)

    assert [type for type, _ in box.events] == ["task-received", "task-started"]


def test_a_copy_of_a_message_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    slots, is_over = Slots(1), threading.Event()
    on_message = MessageIntake(slots, None).strategy(Task(ignore), None, Consumer())
    on_message(Message(f'[["{ID}", "token"], {{}}, null]'), None, lambda *_: None, None, None)
    slots.submit(is_over.set)

    assert is_over.wait(5)
    assert caplog.text == ""


def test_a_message_is_known_until_its_execution_has_ended() -> None:
    gate = threading.Event()

    def wait_for_gate() -> None:
        gate.wait(5)

    task, slots = Task(wait_for_gate), Slots(1)
    intake = MessageIntake(slots, None)
    on_message = intake.strategy(task, None, Consumer())
    for name in ("t-bbbbbbbb.0@i-one", ID):
        on_message(Message(f'[["{name}", ""], {{}}, null]'), None, lambda *_: None, None, None)

    assert intake.has_message(ID)
    gate.set()
    eventually(lambda: not intake.has_message(ID), 5)


def test_a_message_is_acknowledged_when_its_turn_comes_and_no_earlier() -> None:
    gate = threading.Event()
    intake = MessageIntake(Slots(1), None)
    on_message = intake.strategy(Task(lambda: assert_set(gate)), None, Consumer())
    acknowledged_by: dict[str, threading.Thread] = {}
    for name in ("t-bbbbbbbb.0@i-one", ID):

        def acknowledge(*_: object, name: str = name) -> None:
            acknowledged_by[name] = threading.current_thread()

        on_message(Message(f'[["{name}", ""], {{}}, null]'), None, acknowledge, None, None)

    # The first has a free slot: at once, by the thread that Celery's loop runs in.
    assert acknowledged_by == {"t-bbbbbbbb.0@i-one": threading.current_thread()}
    gate.set()
    eventually(lambda: ID in acknowledged_by, 5)


def test_a_claim_goes_ahead_of_the_slot_when_its_turn_has_come_and_not_before() -> None:
    gate, claimed = threading.Event(), []
    intake = MessageIntake(Slots(1), None)
    on_message = intake.strategy(
        Task(lambda: assert_set(gate)), None, Consumer(), claim_ahead=lambda *given: claimed.append(given)
    )
    for name in ("t-bbbbbbbb.0@i-one", ID):
        on_message(Message(f'[["{name}", "token"], {{}}, null]'), None, lambda *_: None, None, None)

    assert claimed == [("t-bbbbbbbb.0@i-one", "token")]
    gate.set()
    eventually(lambda: not intake.has_message(ID), 5)


def assert_set(gate: threading.Event) -> None:
    assert gate.wait(5)


@pytest.mark.parametrize(
    "body", ["", "nonsense", "[" * 100_000, "[]", '[["only one"], {}, null]', "[[1, 2], {}, null]", "[[], {}]"]
)
def test_what_is_not_our_message_is_refused(body: str) -> None:
    intake = MessageIntake(Slots(1), None)
    on_message = intake.strategy(Task(fail), None, Consumer())

    with pytest.raises(InvalidTaskError):
        on_message(Message(body), None, lambda *_: None, None, None)


def test_only_json_is_read() -> None:
    message = Message(f'[["{ID}", ""], {{}}, null]')
    message.content_type = "application/x-python-serialize"
    intake = MessageIntake(Slots(1), None)

    with pytest.raises(InvalidTaskError, match="only JSON"):
        intake.strategy(Task(fail), None, Consumer())(message, None, lambda *_: None, None, None)


def test_a_message_waits_although_another_of_the_same_execution_was_worked_on() -> None:
    """Else it would be put back into the queue, over and over."""
    goes_on, intake = threading.Semaphore(0), MessageIntake(Slots(1), None)

    def wait() -> None:
        goes_on.acquire()

    task = Task(wait)
    on_message = intake.strategy(task, None, Consumer())
    for _ in range(2):
        on_message(Message(f'[["{ID}", "token"], {{}}, null]'), None, lambda *_: None, None, None)
    goes_on.release()
    eventually(lambda: len(task.calls) == 2, 5)
    assert intake.has_message(ID)
    goes_on.release()
    eventually(lambda: not intake.has_message(ID), 5)
