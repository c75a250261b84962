"""Obey orders to become another version: check, wait for the window, fetch, unpack, hand over to the trial.

A thread of its own does what takes time; the lane tells it with every heartbeat what lies in the profile.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ...broker_config.clock import now_ms
from ...broker_config.errors import CloudAssistantError, Refused
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.connection import Argument
from ...broker_config.releases.publisher_keys import read_publishers
from ...broker_config.releases.publisher_signing import Statement, verify
from ...broker_config.releases.upgrade_order import UpgradeOrder, read_order, read_signed
from ...broker_config.releases.upgrade_window import parse_window
from ...broker_config.settings_table import Settings
from ..trust.key_ring import KeyRing
from .installation import Installation
from .local_request import take_request
from .upgrade_state import Stage, UpgradeState, read_state, write_state

#: How often a window is looked at.
_WINDOW_SECONDS = 20.0
#: A machine that failed in the middle of a trial tries this many times altogether.
TRIALS_COUNT = 2

_log = logger("upgrade")


class Upgrader:
    """The upgrades of one agent."""

    def __init__(
        self,
        settings: Settings,
        *,
        instance_id: str,
        version: str,
        keys: KeyRing,
        hand_over: Callable[[str, float], None],
    ) -> None:
        """``hand_over`` ends this agent for the trial of a version; it does not return."""
        self._settings = settings
        self._home = Path(settings.home)
        self._instance_id = instance_id
        self._version = version
        self._keys = keys
        self._hand_over = hand_over
        self._installation = Installation(Path(settings.agent.install_folder))
        self._state = self._after_restart(read_state(self._home))
        self._is_on_trial = self._state.stage is Stage.PROBATION and self._state.version == version
        self._seen = b""
        self._wanted: UpgradeOrder | None = None
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def fields(self) -> Mapping[str, Argument]:
        """What the heartbeat says of it; nothing where there never was an upgrade."""
        return self._state.fields() if self._state.serial else {}

    def look_at(self, raw: bytes) -> None:
        """Take note of what lies in the profile, and of what somebody on this machine asked for. Returns at once."""
        if self._is_on_trial:
            # Whoever is the agent after the trial looks again; the state belongs to the guard until then.
            return
        request = take_request(self._home)
        if request is not None:
            # Whoever stands before the machine decides: an order that waits for its window gives way.
            self._wanted = None
            self._begin(lambda: self._try(request.version, request.serial, request.probation_seconds))
            return
        if raw == self._seen:
            return
        self._seen = raw
        if not raw:
            self._withdraw()
            return
        try:
            order = self._checked(raw)
        except CloudAssistantError as exc:
            _log.error("an order to upgrade was refused: %s", exc)
            return
        if order is not None:
            self._wanted = order
            self._begin(lambda: self._obey(order))

    def _checked(self, raw: bytes) -> UpgradeOrder | None:
        """Verify an order; ``None`` when it was carried out before.

        Raises:
            Refused: it is not signed for this instance, or is too late.
        """
        signed = read_signed(raw)
        if not self._keys.accepts("", signed.message, signed.signature.encode()):
            raise Refused("it is not signed with a key of this instance", code="SignatureInvalid")
        order = read_order(signed)
        if order.instance_id != self._instance_id:
            raise Refused(f"it was made for {order.instance_id}", code="SignatureInvalid")
        if now_ms() > order.expires_ms + int(self._settings.agent.clock_tolerance_seconds * 1000):
            raise Refused("it has expired; roll the version out again", code="EnvelopeExpired")
        state = self._state
        is_over = state.stage in (Stage.SUCCEEDED, Stage.FAILED, Stage.REFUSED)
        if order.serial < state.serial or (order.serial == state.serial and is_over):
            return None
        return order

    def _withdraw(self) -> None:
        """The order is gone: stop what has not begun."""
        if self._wanted is not None:
            _log.info("the order to upgrade was withdrawn version=%s", self._wanted.version)
        self._wanted = None
        self._changed.set()

    def _begin(self, work: Callable[[], None]) -> None:
        self._changed.set()
        previous = self._thread

        def run() -> None:
            if previous is not None:
                previous.join()
            self._changed.clear()
            self._guarded(work)

        self._thread = threading.Thread(target=run, name="upgrade", daemon=True)
        self._thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do the work; what goes wrong ends this upgrade and nothing else.

        It says nothing about the version, which was never tried: only a trial makes one bad.
        """
        try:
            work()
        except CloudAssistantError as exc:
            self._give_up(f"{exc} ({exc.code})")
        except OSError as exc:
            self._give_up(f"{exc.strerror or exc}: {exc.filename or self._installation.folder}")
        except Exception as exc:  # noqa: BLE001  # outermost: of this thread; the agent goes on without the upgrade
            _log.exception("the upgrade failed")
            self._give_up(f"a defect: {type(exc).__name__}")

    def _give_up(self, reason: str) -> None:
        try:
            self._move(Stage.REFUSED, reason)
        except OSError as exc:
            # The heartbeat tells it all the same.
            _log.error("the end of the upgrade could not be written: %s", exc)

    def _obey(self, order: UpgradeOrder) -> None:
        """Carry out an order, up to the trial.

        Raises:
            CloudAssistantError, OSError: it ends here, and the version that runs goes on.
        """
        from .bundle import check_fits  # lazy: 3 MB that an agent needs only when it upgrades

        if order.serial != self._state.serial:
            self._state = UpgradeState(serial=order.serial, version=order.version, bad=self._state.bad)
        if order.version == self._version:
            self._move(Stage.SUCCEEDED, "this version runs already")
            return
        if not self._settings.agent.self_update:
            raise Refused("agent.self_update is off on this instance", code="SelfUpdateOff")
        known_bad = self._state.bad.get(order.version)
        if known_bad and not order.again:
            raise Refused(f"this version failed here before: {known_bad}", code="VersionIsBad")
        self._installation.require_running(self._version)
        statement = self._verified(order)
        check_fits(statement)
        if statement.version != order.version:
            raise Refused(f"the order is for {order.version} and the signature for {statement}", code="WrongArchive")
        self._wait_for_window(order)
        # Again after each wait: the owner may trust its publisher no more by then.
        self._fetch(order, self._verified(order))
        self._verified(order)
        self._try(order.version, order.serial, order.probation_seconds)

    def _verified(self, order: UpgradeOrder) -> Statement:
        return verify(order.signature, read_publishers(Path(self._settings.agent.publishers_folder)))

    def _fetch(self, order: UpgradeOrder, statement: Statement) -> None:
        """Have the version beside the others, in the window.

        Raises:
            CloudAssistantError, OSError: it ends here.
        """
        from .bundle import install_bundle  # lazy: as above
        from .download import PART_SUFFIX, fetch_archive  # lazy: as above

        self._move(Stage.DOWNLOADING)
        archive = self._installation.folder / "downloads" / f"{statement.sha256}{PART_SUFFIX}"
        gateway = self._settings.gateway
        fetch_archive(
            gateway.url or order.url,
            statement,
            archive,
            go_on=lambda: self._is_wanted(order),
            wait=self._changed.wait,
            ca_file=gateway.ca_file,
        )
        try:
            install_bundle(archive, statement, self._installation)
            # The window may have closed meanwhile. The archive stays for an agent that is started while it is waited
            # for: it can be checked against the signature again, and what was unpacked cannot.
            self._wait_for_window(order)
        finally:
            archive.unlink(missing_ok=True)

    def _wait_for_window(self, order: UpgradeOrder) -> None:
        """Return when the window is open.

        Raises:
            Refused: the order was withdrawn, or has expired, before that.
        """
        window = parse_window(order.window)
        while self._is_wanted(order) and window is not None and not window.holds(now_ms()):
            self._move(Stage.WAITING, f"the window is {order.window}")
            self._changed.wait(_WINDOW_SECONDS)
            if now_ms() > order.expires_ms:
                raise Refused("it has expired before its window opened", code="EnvelopeExpired")
        if not self._is_wanted(order):
            raise Refused("the order was withdrawn", code="OrderWithdrawn")

    def _is_wanted(self, order: UpgradeOrder) -> bool:
        return self._wanted is not None and self._wanted.serial == order.serial

    def _try(self, version: str, serial: int, probation_seconds: float) -> None:
        if serial != self._state.serial:
            self._state = UpgradeState(serial=serial, version=version, bad=self._state.bad)
        self._installation.require_running(self._version)
        if not self._installation.program(version).is_file():
            # The trial that ended meanwhile has removed it; that says nothing about it.
            raise Refused(f"version {version} is not installed any more; ask for it again", code="VersionGone")
        if self._state.trials_count >= TRIALS_COUNT:
            raise Refused(f"its trial was cut off {TRIALS_COUNT} times", code="TrialCutOff")
        trials_count = self._state.trials_count + 1
        self._state = UpgradeState(serial=serial, version=version, bad=self._state.bad, trials_count=trials_count)
        self._move(Stage.PROBATION)
        self._hand_over(version, probation_seconds)

    def _move(self, stage: Stage, reason: str = "") -> None:
        if (stage, reason) == (self._state.stage, self._state.reason):
            return
        self._state = self._state.moved(stage, reason)
        _log.info("upgrade version=%s stage=%s %s", self._state.version, stage, reason)
        write_state(self._home, self._state)

    def _after_restart(self, state: UpgradeState) -> UpgradeState:
        """Settle a trial whose watcher died with the machine: the link says whether it was over."""
        current = self._installation.current()
        if state.stage is not Stage.PROBATION or current != self._version:
            return state
        if state.version == self._version:
            state = state.moved(Stage.SUCCEEDED)
        else:
            state = state.moved(Stage.UNDECIDED, "its trial was cut off")
        try:
            write_state(self._home, state)
        except OSError as exc:
            # Who makes room on a full disk comes through this agent; the next one settles it again.
            _log.error("the end of the trial could not be written: %s", exc)
        return state
