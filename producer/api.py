"""The verbs of the control side as one class.

Typed results; every error is an exception of ``broker_config.errors`` whose ``code`` is the API's own word.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..broker_config.dispatch import Dispatcher
from ..broker_config.errors import NotFound, RedisRefused, RedisUnreachable, Refused
from ..broker_config.ledger import InvocationStatus, StoredInvocation, fold, load_targets
from ..broker_config.records import Command
from ..broker_config.redis.client import Redis
from ..broker_config.results import ExecutionRow
from ..broker_config.security.master_key import find_master_keys
from ..broker_config.security.signing import digest
from ..broker_config.settings import load
from ..broker_config.settings_table import Settings
from ..broker_config.settling import settle, settle_if_over
from ..broker_config.timed.secret_values import require_master
from . import client_tokens, file_delivery
from .argument_kinds import INVOKE_ID, must_be, script_bytes
from .auditing import Auditing, Change, named_targets, shown
from .commands import command_library
from .commands.command_seal import check_seal
from .fleet import instances
from .fleet.targets import Targets, resolve
from .following.announced_rows import AnnouncedRows
from .following.announcements import Announcements
from .following.recent_invocations import RecentInvocations
from .following.waiting import Ended, Event, Follower
from .invocations import stopping
from .invocations.asking_ahead import ask_ahead
from .invocations.describing import DescribedInvocation, InvocationFilter, describe_invocations
from .invocations.describing_results import DescribedResult, ResultFilter, describe_results
from .invocations.invoked import Finished, Invoked, in_order
from .invocations.invoking import RunOptions, prepare, with_secrets
from .paging import Page, PageRequest
from .timed.modes import is_timed

if TYPE_CHECKING:
    from .agent_versions import AgentVersions
    from .security.trust import Trust
    from .timed.verbs import TimedVerbs


class Assistant:
    """The control side on one Redis. Safe to share between threads."""

    def __init__(self, redis_url: str | None = None, *, settings: Settings | None = None) -> None:
        """Take the address (else from settings); nothing is connected yet.

        Raises:
            SettingsInvalid: the address or the master key file cannot be used.
        """
        chosen = settings or load().settings
        if redis_url is not None:
            chosen = replace(chosen, redis_url=redis_url)
        self.settings = chosen
        # As many as the gateway may use at once; a program with fewer threads never has that many.
        self.redis = Redis(chosen.redis_url, name="assist", idle_count=max(8, chosen.gateway.threads))
        self._limits = chosen.limits
        self._master = find_master_keys(chosen)
        self.auditing = Auditing(self.redis, lambda: self._master or find_master_keys(chosen))
        self._dispatcher = Dispatcher(self.redis, self._master, queue_count=chosen.limits.queue_count)
        self._announcements = Announcements(self.redis)
        self._announced_rows = AnnouncedRows(self._master, self._dispatcher)
        self._recent = RecentInvocations(self.redis, self._announcements)

    def __enter__(self) -> "Assistant":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._announcements.close()
        self.redis.close()

    # Commands

    def create_command(
        self,
        *,
        name: str,
        type: str,
        content: bytes | str,
        description: str = "",
        working_directory: str = "",
        timeout_seconds: int = 60,
        username: str = "",
        launcher: str = "",
        enable_parameter: bool = False,
        declared_parameters: Sequence[str] = (),
        secret_parameters: Sequence[str] = (),
        resource_group_id: str = "",
        tags: Mapping[str, str] | None = None,
        client_token: str = "",
    ) -> str:
        """Store a command and answer its id (``c-…``); ``secret_parameters`` names those whose values are secret."""
        command = command_library.build_command(
            self._limits,
            name=name,
            type=type,
            content=script_bytes(content),
            description=description,
            working_directory=working_directory,
            timeout_seconds=timeout_seconds,
            username=username,
            launcher=launcher,
            enable_parameter=enable_parameter,
            declared_parameters=declared_parameters,
            secret_parameters=secret_parameters,
            resource_group_id=resource_group_id,
            tags=tags,
        )
        asked = {"command": client_tokens.without_id(command), "action": "CreateCommand"}
        answer = client_tokens.once(
            self.redis,
            scope="CreateCommand",
            token=client_token,
            parameters=asked,
            act=lambda: {"CommandId": self._create_command(command)},
        )
        return answer["CommandId"]

    def modify_command(self, command_id: str, **changes: str | int) -> Command:
        """Change name, description, working_directory, timeout_seconds, launcher or username of a command."""
        with self.auditing.change("ModifyCommand", what=command_id, Changed=" ".join(sorted(changes))):
            return command_library.modify(self.redis, command_id, self._limits, changes, self._master)

    def delete_command(self, command_id: str) -> None:
        """Delete a command; refused while an invocation of it is unfinished."""
        with self.auditing.change("DeleteCommand", what=command_id):
            command_library.delete(self.redis, command_id, partial(settle_if_over, self.redis))

    def describe_commands(
        self, wanted: command_library.CommandFilter | None = None, page: PageRequest | None = None
    ) -> Page[command_library.StoredCommand]:
        """List commands, newest first."""
        return command_library.describe(self.redis, wanted or command_library.CommandFilter(), page or PageRequest())

    # Invocations

    def invoke_command(
        self,
        command_id: str,
        targets: Targets,
        options: RunOptions | None = None,
        *,
        secret_parameters: Mapping[str, str] | None = None,
        client_token: str = "",
    ) -> Invoked:
        """Invoke a stored command on instances; answers as soon as it is dispatched."""
        chosen = with_secrets(options or RunOptions(), secret_parameters)
        with self.auditing.refusals("InvokeCommand", CommandId=command_id, UserName=chosen.username) as change:
            command = command_library.load(self.redis, command_id)
            check_seal(command_id, command, self._master)
            return self._invoke(command, targets, chosen, change, client_token, stored=True)

    def run_command(
        self,
        content: bytes | str,
        targets: Targets,
        options: RunOptions | None = None,
        *,
        type: str = "RunShellScript",
        name: str = "",
        description: str = "",
        enable_parameter: bool = False,
        declared_parameters: Sequence[str] = (),
        secret_parameters: Mapping[str, str] | None = None,
        keep_command: bool = False,
        client_token: str = "",
    ) -> Invoked:
        """Run a script that is not in the library; ``keep_command`` puts it there.

        ``secret_parameters`` are encrypted to each instance, reach the script as ``CA_PARAM_<NAME>`` and are masked in
        its output.
        """
        chosen = with_secrets(options or RunOptions(), secret_parameters)
        script = script_bytes(content)
        with self.auditing.refusals("RunCommand", digest=digest(script), UserName=chosen.username) as change:
            command = command_library.build_command(
                self._limits,
                name=name or "run",
                type=type,
                content=script,
                description=description,
                working_directory=chosen.working_directory,
                timeout_seconds=chosen.timeout_seconds or 60,
                username=chosen.username,
                launcher=chosen.launcher,
                enable_parameter=enable_parameter,
                declared_parameters=declared_parameters,
                secret_parameters=tuple(chosen.secret_parameters),
                resource_group_id=chosen.resource_group_id,
                kept=keep_command,
            )
            return self._invoke(command, targets, chosen, change, client_token, stored=keep_command)

    def send_file(self, request: file_delivery.FileRequest, targets: Targets) -> Invoked:
        """Send a small file to instances; answers as soon as it is dispatched (``f-…``)."""
        named = {"FileName": request.name, "TargetDir": request.target_directory, "FileOwner": request.owner}
        with self.auditing.refusals("SendFile", digest=digest(request.content), **named) as change:
            chosen = resolve(self.redis, targets, self._limits)
            change.facts.update(named_targets(chosen))
            invocation = file_delivery.send(
                self._dispatcher,
                request,
                chosen,
                self._limits,
                done_channel=self._announcements.own_channel,
                enter=lambda invoke_id: self.auditing.entering(change, invoke_id),
            )
        return Invoked(invocation.invoke_id, invocation.command.command_id, len(chosen))

    def stop_invocation(self, invoke_id: str, instance_ids: Sequence[str] = ()) -> dict[str, str]:
        """Stop an invocation on all or some instances; answers the new state of each that changed.

        One that cannot be read is stopped by what can be.
        """
        must_be(str, invoke_id, "invoke_id", INVOKE_ID)
        with self.auditing.change("StopInvocation", what=invoke_id, **named_targets(instance_ids)):
            return stopping.stop(self.redis, invoke_id, instance_ids, self._limits)

    def describe_invocations(
        self,
        wanted: InvocationFilter | None = None,
        page: PageRequest | None = None,
        *,
        with_rows: bool = False,
        with_output: bool = True,
    ) -> Page[DescribedInvocation]:
        """List invocations, newest first; ``with_rows`` loads the latest execution of each target too."""
        chosen, asked = wanted or InvocationFilter(), page or PageRequest()
        return describe_invocations(self.redis, chosen, asked, with_rows=with_rows, with_output=with_output)

    def describe_invocation_results(
        self, wanted: ResultFilter, page: PageRequest | None = None
    ) -> Page[DescribedResult]:
        """List results: of one invocation in the order of its targets, else newest first."""
        return describe_results(self.redis, wanted, page or PageRequest())

    def listen_soon(self, *, live: bool) -> None:
        """Begin to listen beside what comes next: for one who dispatches one invocation and then waits for it."""
        self._announcements.listen_soon(wants_output=live)

    def follow(self, invoke_id: str, *, timeout_seconds: float | None = None, live: bool = True) -> Iterator[Event]:
        """Yield what happens to an invocation until its last target has ended.

        Raises:
            NotFound: no such invocation. WaitTimedOut: the time was up first.
        """
        follower = self._follower(invoke_id, live=live)
        yield from follower.events(timeout_seconds)
        self._recent.note_settled(invoke_id, follower.settled)

    def wait(self, invoke_id: str, *, timeout_seconds: float | None = None) -> Finished:
        """Wait until every target has ended and answer all results.

        Raises:
            NotFound: no such invocation. WaitTimedOut: the time was up first.
        """
        follower = self._follower(invoke_id, live=False)
        rows = [event.row for event in follower.events(timeout_seconds) if isinstance(event, Ended)]
        return self.finished(follower.stored, in_order(rows, follower.targets), stored_as=follower.settled)

    def sum_up(self, invoke_id: str, rows: Sequence[ExecutionRow]) -> Finished:
        """Sum up an invocation from the results that ``follow`` gave, in whatever order they came."""
        recent = self._recent.find(invoke_id)
        targets = recent.targets or load_targets(self.redis, invoke_id) if len(rows) > 1 else ()
        return self.finished(recent.stored, in_order(rows, targets), stored_as=recent.settled)

    def finished(
        self, stored: StoredInvocation, rows: list[ExecutionRow], *, stored_as: InvocationStatus | None = None
    ) -> Finished:
        """Sum up an invocation from the results of all of its targets, and store that it is over, unless it is."""
        status = stored_as or fold([(row.state, row.outcome.error_code) for row in rows], active=stored.active)
        if stored_as is None:
            # The results are here; what Redis does not take now, a beat or the next reader stores.
            with suppress(RedisRefused, RedisUnreachable):
                settle(self.redis, stored, status)
        self._recent.forget(stored.record.invoke_id)
        return Finished(stored.record.invoke_id, stored.record.command.command_id, status, rows)

    # Instances

    def describe_instances(
        self, wanted: instances.InstanceFilter | None = None, page: PageRequest | None = None
    ) -> Page[instances.StoredInstance]:
        """List instances with what their agents last reported."""
        return instances.describe(self.redis, wanted or instances.InstanceFilter(), page or PageRequest())

    def add_instance(self, instance_id: str, *, name: str = "", tags: Mapping[str, str] | None = None) -> None:
        """Register an instance under an id its owner chose."""
        with self.auditing.change("AddInstance", what=instance_id, InstanceName=name, Tags=shown(tags)):
            instances.add(self.redis, instance_id, name=name, tags=tags)

    def modify_instance(
        self, instance_id: str, *, name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> instances.StoredInstance:
        """Change an instance's name or replace its tags."""
        with self.auditing.change("ModifyInstance", what=instance_id, InstanceName=name or "", Tags=shown(tags)):
            return instances.modify(self.redis, instance_id, name=name, tags=tags)

    def remove_instance(self, instance_id: str) -> instances.StoredInstance:
        """Let an instance go: connections end at once, open executions get their reason, its history stays."""
        return self.trust.deregister(instance_id)

    @cached_property
    def timed(self) -> "TimedVerbs":
        """Timed invocations: list, preview, pause, modify, history."""
        from .timed.verbs import TimedVerbs  # lazy: most calls need no calendar

        return TimedVerbs(self.redis, self.settings, self._master, self.auditing)

    # Versions of the agent

    @cached_property
    def agent_versions(self) -> "AgentVersions":
        """Roll out published versions of the agent."""
        from .agent_versions import AgentVersions  # lazy: most calls need none of it

        return AgentVersions(self.redis, self.settings, self._master, self.auditing)

    # Identity and trust

    @cached_property
    def trust(self) -> "Trust":
        """Identities of instances, access keys, audit."""
        from .security.trust import Trust  # lazy: most calls need none of it

        return Trust(self.redis, self.settings, self.auditing)

    # Inside

    def _follower(self, invoke_id: str, *, live: bool) -> Follower:
        recent, box = self._recent.find(invoke_id), self._recent.take_box(invoke_id, with_output=live)
        return Follower(self.redis, self._announcements, self._announced_rows, recent, live=live, expected=box)

    def _invoke(
        self, command: Command, targets: Targets, options: RunOptions, change: Change, token: str, *, stored: bool
    ) -> Invoked:
        chosen = resolve(self.redis, targets, self._limits)
        ask_ahead(self.redis, self.auditing.chain, self._dispatcher.signer, chosen)
        change.digest = change.digest or digest(command.content)
        change.facts.update(CommandId=command.command_id, **named_targets(chosen))

        def act() -> dict[str, str]:
            prepared = prepare(
                command,
                options,
                self._limits,
                target_count=len(chosen),
                done_channel=self._announcements.own_channel,
                region_id=self.settings.gateway.region_id,
                stored=stored,
            )
            invocation, order = prepared.invocation, prepared.order
            timed = self.timed if is_timed(options.schedule) else None
            if timed is not None:
                if prepared.secrets:
                    require_master(self._master)
                invocation, order = timed.check(invocation, order, is_within_given=bool(options.deliver_within_seconds))
            enter = self.auditing.entering(change, invocation.invoke_id)
            dispatch = partial(self._dispatcher.create, invocation, order, chosen, prepared.secrets, enter=enter)
            with self._kept(command) if stored and change.action == "RunCommand" else nullcontext():
                if timed is not None:
                    dispatch()
                else:
                    self._recent.make(StoredInvocation(record=invocation), chosen, dispatch)
            if timed is not None:
                timed.begin(invocation, order, chosen, prepared.secrets)
            return {"InvokeId": invocation.invoke_id, "CommandId": command.command_id}

        asked: dict[str, object] = {}
        if token:
            asked = {"command": client_tokens.without_id(command), "targets": chosen, "options": repr(options)}
        answer = client_tokens.once(self.redis, scope=change.action, token=token, parameters=asked, act=act)
        return Invoked(answer["InvokeId"], answer["CommandId"], len(chosen))

    @contextmanager
    def _kept(self, command: Command) -> Iterator[None]:
        """Put the command of a run into the library; it goes again when the run is refused."""
        self._create_command(command)
        try:
            yield
        except (NotFound, Refused):
            self.delete_command(command.command_id)
            raise

    def _create_command(self, command: Command) -> str:
        named = {"CommandName": command.name, "UserName": command.username}
        with self.auditing.change("CreateCommand", what=command.command_id, digest=digest(command.content), **named):
            return command_library.create(self.redis, command, self._limits, self._master)
