"""Run the local system: start everything in order, watch it, end it in order."""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ...broker_config.errors import Refused, WaitTimedOut
from ...broker_config.redis.url import parse_url
from ...broker_config.settings import Loaded, child_environment
from .child_log import ChildLog
from .children import Change, Child, ChildState
from .first_access_key import make_first_access_key
from .home_folder import ensure_master_keys, open_home, remember_addresses
from .home_lock import HomeLock, RunningChild, UpNote
from .leftovers import end_leftovers, leftovers_of
from .local_agent import prepare_local_agent
from .next_steps import next_steps
from .options import UpOptions
from .plan import Plan, make_plan
from .programs import Program
from .screen import Screen
from .signals import SignalInbox

#: How often the size of the logs is looked at.
_LOG_CHECK_SECONDS = 5.0
_STOP_POLL_SECONDS = 0.1
_SHOWN_LOG_LINES = 8
#: As shells say "ended by Ctrl-C"; for the second one, which leaves no time for a clean end.
_FORCED = 130


def run_up(loaded: Loaded, options: UpOptions) -> int:
    """Run the local system of ``home`` until a signal asks for the end, and return the exit code.

    When this returns or raises, nothing that it started runs any more but the supervisors of running scripts.

    Raises:
        Refused: another `assist up` runs on this home, a port is taken, or a program did not start.
        RedisUnreachable: the Redis that was named does not answer.
        SettingsInvalid: the home or the instance id cannot be used.
        WaitTimedOut: a program took too long to become ready.
    """
    home = open_home(loaded.settings.home)
    screen = Screen(sys.stderr, child_environment())
    with HomeLock(home) as lock, SignalInbox() as inbox:
        left_behind = leftovers_of(lock.left_behind)
        if left_behind:
            names = ", ".join(child.name for child in left_behind)
            screen.change(f"ending {names}: left behind by an earlier run that was killed", bad=True)
            end_leftovers(left_behind)
        plan = make_plan(loaded, options, home)
        master = ensure_master_keys(home, loaded.settings.security.master_key_file)
        remember_addresses(home, plan.redis_url)

        def make_agent() -> Program:
            return prepare_local_agent(loaded, home, redis_url=plan.redis_url, instance_id=plan.instance_id)

        system = LocalSystem(
            home,
            plan,
            make_agent,
            lambda: make_first_access_key(plan.redis_url, master) if options.with_access_key else None,
            lock=lock,
            inbox=inbox,
            screen=screen,
        )
        screen.title(importlib.metadata.version("cloud-assistant"))
        try:
            if system.start():
                system.watch()
        finally:
            ended_cleanly = system.end()
            screen.end_status()
        end = "everything has ended" if ended_cleanly else "everything was killed"
        screen.change(f"{end} ({inbox.asked_by})", bad=not ended_cleanly)
    return 0 if ended_cleanly else _FORCED


class LocalSystem:
    """The child programs of one `assist up`."""

    def __init__(
        self,
        home: Path,
        plan: Plan,
        make_agent: Callable[[], Program],
        make_access_key: Callable[[], tuple[str, str] | None],
        *,
        lock: HomeLock,
        inbox: SignalInbox,
        screen: Screen,
    ) -> None:
        """Take what there is to run; ``make_agent`` and ``make_access_key`` are called once the rest is ready."""
        self._home = home
        self._plan = plan
        self._lock = lock
        self._inbox = inbox
        self._screen = screen
        self._server = [self._child(plan.server)] if plan.server else []
        self._middle = [self._child(program) for program in plan.programs]
        self._make_agent = make_agent
        self._make_access_key = make_access_key
        self._agents: list[Child] = []
        self._ready = False
        self._gateway_url = ""
        #: What could not be written when it was tried last.
        self._hindered: set[str] = set()

    @property
    def _children(self) -> list[Child]:
        return [*self._server, *self._middle, *self._agents]

    def start(self) -> bool:
        """Start everything and show it; False when we were asked to end meanwhile.

        Raises:
            Refused: a program died before it was ready.
            WaitTimedOut: a program was not ready in time.
        """
        redis = parse_url(self._plan.redis_url).shown()
        if not self._server:
            self._screen.row("Redis", f"{redis}  (not ours)", runs=True)
        # Everything needs Redis; the rest start side by side; the agent comes last, so that Flower hears it come.
        if not (self._start_stage(self._server) and self._start_stage(self._middle)):
            return False
        if self._plan.instance_id:
            self._agents = [self._child(self._make_agent())]
            if not self._start_stage(self._agents):
                return False
        self._ready = True
        self._note()
        self._screen.gap()
        self._screen.row("home", str(self._home), runs=False)
        self._screen.row("logs", str(self._home / "log"), runs=False)
        access_key = self._make_access_key()
        if access_key is not None:
            self._screen.row(
                "key", f"{access_key[0]} secret {access_key[1]} (for the gateway; shown this once)", runs=False
            )
        self._screen.next_steps(next_steps(self._home, with_agent=bool(self._agents)))
        return True

    def watch(self) -> None:
        """Start again what dies, until we are asked to end."""
        while not self._inbox.asked_to_end:
            self._inbox.wait(min([_LOG_CHECK_SECONDS, *(child.seconds_to_next_look() for child in self._children)]))
            for child in self._children:
                change = child.look()
                if change is not None:
                    self._tell(child, change)
                    self._keep("the note of what runs", self._note)
                self._keep(f"the log {child.log.path}", child.log.keep_bounded)

    def end(self) -> bool:
        """End the agent, then what stands on Redis, then Redis; False when a second Ctrl-C made that a kill."""
        for stage in (self._agents, self._middle, self._server):
            for child in stage:
                child.ask_to_end()
            while waited_for := [child for child in stage if not child.has_ended()]:
                if self._inbox.insisted:
                    for child in self._children:
                        child.kill()
                    return False
                self._screen.status("ending " + ", ".join(child.name for child in waited_for))
                self._inbox.wait(_STOP_POLL_SECONDS)
        return True

    def _start_stage(self, stage: Sequence[Child]) -> bool:
        """Start some programs and wait until all are ready; False when we were asked to end meanwhile."""
        for child in stage:
            child.start()
        self._note()
        return self._await_ready(stage)

    def _await_ready(self, stage: Sequence[Child]) -> bool:
        """Wait until all are ready, and show them in their order; False when we were asked to end."""
        shown = 0
        while shown < len(stage):
            if self._inbox.asked_to_end:
                return False
            for child in stage:
                change = child.look()
                if change in (Change.DIED, Change.TOO_SLOW):
                    self._give_up(child, change)
            while shown < len(stage) and stage[shown].state is ChildState.READY:
                self._screen.row(stage[shown].name, stage[shown].place, runs=True)
                shown += 1
            waited_for = [child for child in stage[shown:] if child.state is not ChildState.READY]
            if waited_for:
                self._screen.status("starting " + ", ".join(child.name for child in waited_for))
                self._inbox.wait(min(child.seconds_to_next_look() for child in waited_for))
        return True

    def _give_up(self, child: Child, change: Change) -> None:
        where = f"its log is {child.log.path}"
        self._screen.failure(
            f"{child.name} did not start; the last lines of its log:", child.log.last_lines(_SHOWN_LOG_LINES)
        )
        if change is Change.TOO_SLOW:
            raise WaitTimedOut(f"{child.name} was not ready within {child.program.ready_seconds:g} s; {where}")
        raise Refused(f"{child.name} ended before it was ready ({child.how_it_ended()}); {where}")

    def _tell(self, child: Child, change: Change) -> None:
        again = f"starting it again in {child.retry_in_seconds:g} s; see {child.log.path.name}"
        match change:
            case Change.DIED:
                self._screen.change(f"{child.name} has ended ({child.how_it_ended()}); {again}", bad=True)
            case Change.TOO_SLOW:
                self._screen.change(f"{child.name} was not ready in time and was killed; {again}", bad=True)
            case Change.NOT_STARTED:
                self._screen.change(f"{child.name} cannot be started ({child.start_problem}); {again}", bad=True)
            case Change.READY:
                self._screen.change(f"{child.name} runs again: {child.place}")
            case Change.RESTARTED:
                pass  # it is worth a line once it is ready

    def _keep(self, what: str, write: Callable[[], None]) -> None:
        """Write something that is not worth ending everything for; what hinders it is told once."""
        try:
            write()
        except OSError as exc:
            if what not in self._hindered:
                self._screen.change(
                    f"{what} cannot be written ({exc.strerror}); make room, or see its rights", bad=True
                )
            self._hindered.add(what)
        else:
            self._hindered.discard(what)

    def _note(self) -> None:
        """Leave word of what runs, for a second `assist up` and for one that comes after a kill."""
        places = {child.name: child.place for child in self._children}
        if places.get("gateway", "") != self._gateway_url:
            self._gateway_url = places["gateway"]
            remember_addresses(self._home, self._plan.redis_url, self._gateway_url)
        self._lock.write(
            UpNote(
                pid=os.getpid(),
                ready=self._ready,
                redis=parse_url(self._plan.redis_url).shown(),
                gateway=places.get("gateway", ""),
                flower=places.get("Flower", ""),
                instance_id=self._plan.instance_id,
                children=[RunningChild(one.name, one.pid, one.identity) for one in self._children if one.pid],
            )
        )

    def _child(self, program: Program) -> Child:
        return Child(program, self._home, ChildLog(self._home / "log" / f"{program.name.lower()}.log"))
