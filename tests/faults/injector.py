"""Do the planned faults to the running programs, and undo them."""

import contextlib
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from faults.agents import supervisor_of
from faults.crashing_agent import SUPERVISED_POINTS, WATCHED_POINTS
from faults.plan import Fault, PlannedFault
from faults.rig import Rig
from faults.scene import REDIS_TROUBLE
from faults.scripts import QUICK

from cloud_assistant.broker_config import keys
from cloud_assistant.worker.execution.record import load_exit, load_start
from harness.proc import send

_NOISE = (b"", b"\x00\xff no message", b"{}", b"[1]", b'{"body": "x"}', b'{"body": "e30=", "headers": {}}')
#: An agent that is to die at a point dies of old age when nothing brings it there.
_CRASH_WITHIN_SECONDS = 4.0


class Injector:
    """Works on one rig until told to end; counts what it did."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._ending = threading.Event()
        self.counts: Counter[Fault] = Counter()
        #: Why a fault could not be done; that is a defect of the product or of this file, never nothing.
        self.failures: list[str] = []
        self._actions: dict[Fault, Callable[[PlannedFault], None]] = {
            Fault.AGENT_KILLED: self._kill_agent,
            Fault.AGENT_ENDED: self._end_agent,
            Fault.AGENT_FROZEN: self._freeze_agent,
            Fault.AGENT_CRASHED: self._crash_agent,
            Fault.SUPERVISOR_KILLED: self._kill_supervisor,
            Fault.MACHINE_RESTARTED: self._restart_machine,
            Fault.LINE_CUT: self._cut,
            Fault.LINE_DROPPED: self._drop,
            Fault.LINE_SILENT: self._silence,
            Fault.LINE_SLOW: self._slow,
            Fault.REDIS_KILLED: self._kill_redis,
            Fault.REDIS_HUNG: self._hang_redis,
            Fault.REDIS_FULL: self._fill_redis,
            Fault.MESSAGES_DOUBLED: self._double_messages,
            Fault.MESSAGES_SHUFFLED: self._shuffle_messages,
            Fault.MESSAGES_LOST: self._lose_messages,
            Fault.MESSAGE_DAMAGED: self._damage_message,
            Fault.REQUEST_FORGED: self._forge_request,
            Fault.BEAT_KILLED: self._kill_beat,
        }

    def end(self) -> None:
        """Finish the fault at hand and begin no other."""
        self._ending.set()

    def run(self, lane: Sequence[PlannedFault]) -> None:
        """Do one lane's faults, one after another."""
        for one in lane:
            if self._ending.wait(one.pause_seconds):
                return
            try:
                self._actions[one.fault](one)
            except (AssertionError, OSError) as exc:
                self.failures.append(f"{one.fault} on {one.instance_id}: {exc}")
            else:
                self.counts[one.fault] += 1

    def _hold(self, one: PlannedFault) -> None:
        self._ending.wait(one.hold_seconds)

    # Agents

    def _kill_agent(self, one: PlannedFault) -> None:
        self._rig.agent(one.instance_id).sigkill()
        self._hold(one)
        self._rig.start_agent(one.instance_id)

    def _end_agent(self, one: PlannedFault) -> None:
        agent = self._rig.agent(one.instance_id)
        agent.sigterm()
        agent.wait()
        self._hold(one)
        self._rig.start_agent(one.instance_id)

    def _freeze_agent(self, one: PlannedFault) -> None:
        agent = self._rig.agent(one.instance_id)
        agent.sigstop()
        self._hold(one)
        agent.sigcont()

    def _crash_agent(self, one: PlannedFault) -> None:
        self._rig.agent(one.instance_id).sigkill()
        points = SUPERVISED_POINTS if self._rig.has_supervisors else WATCHED_POINTS
        agent = self._rig.start_agent(one.instance_id, crash_point=random.Random(one.seed).choice(list(points)))
        with contextlib.suppress(AssertionError):
            agent.wait(_CRASH_WITHIN_SECONDS)
        if agent.is_running:
            agent.sigkill()
        self._rig.start_agent(one.instance_id)

    def _kill_supervisor(self, one: PlannedFault) -> None:
        """Stop it first, so that it is known which execution it has when it dies."""
        folders = list(self._rig.spool(one.instance_id).iterdir())
        random.Random(one.seed).shuffle(folders)
        for folder in folders:
            start = load_start(str(folder))
            if start is None or load_exit(str(folder)) or (supervisor := supervisor_of(start)) is None:
                continue
            send(supervisor, signal.SIGSTOP)
            for other in self._rig.spool(one.instance_id).iterdir():
                owner = load_start(str(other))
                if owner and owner.supervisor_pid == start.supervisor_pid and not load_exit(str(other)):
                    self._rig.scene.broken_on_purpose.add(other.name)
            send(supervisor, signal.SIGKILL)
            return

    def _restart_machine(self, one: PlannedFault) -> None:
        self._rig.kill_machine(one.instance_id)
        self._rig.note_broken(one.instance_id)
        self._hold(one)
        self._rig.start_agent(one.instance_id, new_boot=True)

    # Lines

    def _cut(self, one: PlannedFault) -> None:
        line = self._rig.lines[one.instance_id]
        line.cut()
        self._hold(one)
        line.heal()

    def _drop(self, one: PlannedFault) -> None:
        self._rig.lines[one.instance_id].drop_connections()

    def _silence(self, one: PlannedFault) -> None:
        line = self._rig.lines[one.instance_id]
        line.half_open(serve_new_connections=one.seed % 2 == 0)
        self._hold(one)
        if one.seed % 3 == 0:
            line.drop_connections()
        line.heal()

    def _slow(self, one: PlannedFault) -> None:
        line = self._rig.lines[one.instance_id]
        line.set_delay_ms(50 + one.seed % 400)
        self._hold(one)
        line.set_delay_ms(0)

    # What all share

    def _kill_redis(self, one: PlannedFault) -> None:
        self._rig.server.kill()
        self._hold(one)
        self._rig.server.start()

    def _hang_redis(self, one: PlannedFault) -> None:
        self._rig.server.hang()
        self._hold(one)
        self._rig.server.resume()

    def _fill_redis(self, one: PlannedFault) -> None:
        self._rig.configure_server("maxmemory", "1")
        self._hold(one)
        self._rig.configure_server("maxmemory", "0")

    def _double_messages(self, one: PlannedFault) -> None:
        dice = random.Random(one.seed)
        names = list(self._rig.scene.requests)[-300:]
        with contextlib.suppress(*REDIS_TROUBLE):
            for name in dice.sample(names, min(len(names), 10)):
                self._rig.scene.push_again(name, dice.randint(1, 4))

    def _shuffle_messages(self, one: PlannedFault) -> None:
        queue = keys.queue(one.instance_id)
        with contextlib.suppress(*REDIS_TROUBLE):
            messages = self._rig.scene.redis.call("LRANGE", queue, 0, -1)
            random.Random(one.seed).shuffle(messages)
            # What was taken or came in between is doubled or lost: that is a fault too.
            if messages:
                self._rig.scene.redis.pipeline_or_raise([("DEL", queue), ("RPUSH", queue, *messages)])

    def _lose_messages(self, one: PlannedFault) -> None:
        with contextlib.suppress(*REDIS_TROUBLE):
            self._rig.scene.redis.call("DEL", keys.queue(one.instance_id))

    def _damage_message(self, one: PlannedFault) -> None:
        with contextlib.suppress(*REDIS_TROUBLE):
            self._rig.scene.redis.call("LPUSH", keys.queue(one.instance_id), _NOISE[one.seed % len(_NOISE)])

    def _forge_request(self, one: PlannedFault) -> None:
        with contextlib.suppress(*REDIS_TROUBLE):
            self._rig.scene.forge(QUICK, one.instance_id)

    def _kill_beat(self, one: PlannedFault) -> None:
        self._rig.kill_beat(one.seed)
        self._hold(one)
        self._rig.start_beats()
