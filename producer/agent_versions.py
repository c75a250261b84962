"""Roll out versions of the agent: to which instances, how fast, and what to do once it is under way."""

import re

import msgspec

from ..broker_config import keys
from ..broker_config.clock import now_ms
from ..broker_config.errors import NotFound, Refused, RequestInvalid
from ..broker_config.ids import new_id
from ..broker_config.redis.client import Redis
from ..broker_config.releases.publisher_signing import AGENT_NAME
from ..broker_config.releases.rollouts import (
    FAILURES,
    KEPT_COUNT,
    Progress,
    Rollout,
    Rollouts,
    UnusableRollout,
    Wish,
    cancel_unsealed,
    forget_rollout,
    load_rollouts,
    replace_rollout,
    save_rollout,
    take_back_orders,
)
from ..broker_config.releases.upgrade_window import parse_window
from ..broker_config.security.signing import MasterKeys
from ..broker_config.settings_table import Settings
from .auditing import Auditing, shown
from .file_store.catalogue import Catalogue
from .fleet.instances import not_registered
from .fleet.targets import Targets, refuse_two_ways

#: As for an upgrade by hand; a beat gives up a trial that has not ended after a day.
_MOST_PROBATION_SECONDS = 86_400
_URL = re.compile(r"https?://[^\s/]+(/[^\s]*)?")


class RolloutOptions(msgspec.Struct, frozen=True, kw_only=True):
    """To how many, when and how fast a version is rolled out."""

    share_percent: float = 100.0
    window: str = ""
    at_once_count: int = 0
    failures_percent: float = 10.0
    probation_seconds: float = 180.0
    again: bool = False


class AgentVersions:
    """The roll-outs of one installation; a beat carries them out."""

    def __init__(self, redis: Redis, settings: Settings, master: MasterKeys | None, auditing: Auditing) -> None:
        self._redis = redis
        self._settings = settings
        self._master = master
        self._auditing = auditing

    def all(self) -> list[Progress]:
        """The roll-outs that are remembered, newest first, without those that cannot be used."""
        return self._load().usable

    def unusable(self) -> list[UnusableRollout]:
        """What is stored as a roll-out and which nobody carries out, with the reason and its remedy."""
        return self._load().unusable

    def find(self, version: str = "") -> Progress:
        """The latest roll-out, or the latest of a version.

        Raises:
            NotFound: there is none (``RolloutNotFound``). Refused: what there is cannot be used (``SealBroken``,
            ``RecordUnreadable``).
        """
        usable, unusable = self._load()
        for one in usable:
            if version in ("", one.rollout.version):
                return one
        for other in unusable:
            if version in ("", other.version, other.rollout_id):
                raise other.why
        what = f"version {version} was never rolled out" if version else "nothing was ever rolled out"
        raise NotFound(f"{what}; see `assist agent-version rollout --help`", code="RolloutNotFound")

    def begin(self, version: str, targets: Targets, options: RolloutOptions) -> Progress:
        """Roll out a published version, or widen the roll-out of it that is open.

        Raises:
            NotFound: no such version was published, or an instance that is named is not registered.
            RequestInvalid: the window, a share or whom it is for makes no sense.
            Refused: another version's roll-out is open (``RolloutOpen``).
        """
        facts = {
            "Share": f"{options.share_percent:g}%",
            "Window": options.window,
            "Instances": " ".join(targets.instance_ids) or ("" if targets.tags else "all"),
            "Tags": shown(targets.tags),
        }
        with self._auditing.change("RolloutAgentVersion", what=version, **facts):
            return self._begin(version, targets, options)

    def _begin(self, version: str, targets: Targets, options: RolloutOptions) -> Progress:
        parse_window(options.window)
        if not 0 < options.share_percent <= 100 or not 0 < options.failures_percent <= 100:
            raise RequestInvalid("a share is more than 0 and at most 100 %", code="InvalidParameter.Share")
        if not 1 <= options.probation_seconds <= _MOST_PROBATION_SECONDS:
            # In no time at all every version would fail, and be known as bad from then on.
            raise RequestInvalid(
                f"a trial takes 1 to {_MOST_PROBATION_SECONDS} seconds", code="InvalidParameter.Probation"
            )
        if options.at_once_count < 0:
            raise RequestInvalid("at least one instance is upgraded at once", code="InvalidParameter.AtOnce")
        earlier = self.all()
        current = next((one for one in earlier if one.is_open), None)
        if current is not None and current.rollout.version != version:
            raise _open_already(current)
        rollout = Rollout(
            rollout_id=current.rollout.rollout_id if current else new_id("t"),
            created_ms=current.rollout.created_ms if current else now_ms(),
            version=version,
            wish=current.rollout.wish if current else Wish.RUN,
            forgiven_count=current.rollout.forgiven_count if current else 0,
            instance_ids=self._named(targets),
            tags=targets.tags,
            url=self.download_url(),
            signatures=self._signatures(version),
            **msgspec.structs.asdict(options),
        )
        if current is None:
            save_rollout(self._redis, rollout, self._master)
        elif not replace_rollout(self._redis, current, msgspec.structs.replace(current, rollout=rollout), self._master):
            return self._begin(version, targets, options)
        others = [one for one in self.all() if one.is_open and one.rollout.rollout_id != rollout.rollout_id]
        if others:
            # Begun in the same moment: two would take each other's orders back. A beat takes back what it has given.
            save_rollout(self._redis, msgspec.structs.replace(rollout, wish=Wish.CANCEL), self._master)
            raise _open_already(others[0])
        for one in earlier[KEPT_COUNT - 1 :]:
            forget_rollout(self._redis, one.rollout.rollout_id)
        return self.find(version)

    def change(self, version: str, wish: Wish) -> Progress:
        """Pause, resume or cancel; resuming one that stopped by itself forgives the failures so far.

        Cancelled is also what was not written with the master key.

        Raises:
            NotFound: it was never rolled out. Refused: it is over (``RolloutOver``).
        """
        with self._auditing.change("ModifyRollout", what=version, Wish=str(wish)):
            return self._change(version, wish)

    def _change(self, version: str, wish: Wish) -> Progress:
        is_cancelled = wish is Wish.CANCEL and self._master and cancel_unsealed(self._redis, self._master, version)
        still_open = (one for one in self.all() if one.rollout.version == version and one.is_open)
        found = next(still_open, None) or self.find(version)
        if is_cancelled and not found.is_open:
            return found
        if not found.is_open:
            raise Refused(f"the roll-out of {version} is {found.state.lower()}; begin a new one", code="RolloutOver")
        forgiven_count = found.count(*FAILURES) if wish is Wish.RUN else found.rollout.forgiven_count
        changed = msgspec.structs.replace(found.rollout, wish=wish, forgiven_count=forgiven_count)
        halted = "" if wish is Wish.RUN else found.halted
        fresh = msgspec.structs.replace(found, rollout=changed, halted=halted)
        if not replace_rollout(self._redis, found, fresh, self._master):
            return self._change(version, wish)
        return self.find(version)

    def remove_unusable(self, rollout_id: str) -> bool:
        """Remove what cannot be used, by its id, and take back its orders; false where there is no such."""
        if rollout_id not in {one.rollout_id for one in self.unusable()}:
            return False
        with self._auditing.change("ModifyRollout", what=rollout_id, Wish="remove"):
            take_back_orders(self._redis, rollout_id)
            forget_rollout(self._redis, rollout_id)
        return True

    def _load(self) -> Rollouts:
        return load_rollouts(self._redis, self._master)

    def download_url(self) -> str:
        """Where agents fetch what was published.

        Raises:
            RequestInvalid: it is no address of a gateway.
        """
        gateway = self._settings.gateway
        scheme = "https" if gateway.tls_certificate else "http"
        url = gateway.agent_url or gateway.url or f"{scheme}://{gateway.host}:{gateway.port}"
        if not _URL.fullmatch(url):
            raise RequestInvalid(
                f"agents cannot download from {url!r}; set gateway.agent_url", code="InvalidGatewayUrl"
            )
        return url.rstrip("/")

    def _named(self, targets: Targets) -> tuple[str, ...]:
        """The instances that are named, each once; nobody waits for one that there is not.

        Raises:
            NotFound: one of them is not registered. RequestInvalid: tags are named as well, or all.
        """
        named = tuple(dict.fromkeys(targets.instance_ids))
        refuse_two_ways(targets)
        places = self._redis.call("ZMSCORE", keys.INSTANCES, *named) if named else []
        for one, place in zip(named, places, strict=True):
            if place is None:
                raise not_registered(one)
        return named

    def _signatures(self, version: str) -> dict[str, str]:
        found = [one for one in Catalogue(self._redis).list(AGENT_NAME) if one.version == version]
        if not found:
            raise NotFound(
                f"version {version} of the agent was not published; see `assist agent-version list`",
                code="PackageNotFound",
            )
        return {f"{one.signed.statement.os}/{one.signed.statement.arch}": one.signed.text for one in found}


def _open_already(progress: Progress) -> Refused:
    version = progress.rollout.version
    return Refused(
        f"the roll-out of {version} is {progress.state.lower()};"
        f" cancel it first: assist agent-version rollout {version} --cancel",
        code="RolloutOpen",
    )
