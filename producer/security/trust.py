"""The verbs of identity and trust: what ``Assistant.trust`` offers."""

import threading
from collections.abc import Sequence

from ...broker_config import keys
from ...broker_config.audit import refusals_of_agents
from ...broker_config.errors import NotFound, RequestInvalid
from ...broker_config.ledger import load_invocation
from ...broker_config.redis.client import Redis
from ...broker_config.security.master_key import find_master_keys, load_master_keys, master_key_path
from ...broker_config.security.signing import MasterKeys
from ...broker_config.settings_table import Settings
from ..auditing import Auditing, Change, named_targets
from ..fleet import activations, instances
from ..fleet.registration_turn import await_registration
from . import deregistration, identities
from .identities import Issued
from .key_rotation import Rotation, RotationStatus
from .master_key import check_master_keys, make_master_keys
from .program_rights import ControlProgram
from .result_verification import Verified, verify_results
from .rights_renewal import Renewed, renew_agents, renew_programs


class Trust:
    """Identity and trust on one Redis."""

    def __init__(self, redis: Redis, settings: Settings, auditing: Auditing | None = None) -> None:
        self.auditing = auditing or Auditing(redis, lambda: find_master_keys(settings))
        self._redis = redis
        self._settings = settings
        self._master: MasterKeys | None = None
        self._lock = threading.Lock()

    @property
    def master(self) -> MasterKeys:
        """The master keys; the first of an installation is made when it is needed.

        Raises:
            SettingsInvalid: the key file cannot be used.
            Refused: this installation's master key is elsewhere, or ours is another one.
        """
        with self._lock:
            if self._master is None:
                found = find_master_keys(self._settings)
                if found is None:
                    self._make_first()
                    found = load_master_keys(master_key_path(self._settings))
                check_master_keys(self._redis, found)
                self._master = found
            return self._master

    def create_master(self) -> MasterKeys:
        """The master keys; unlike ``master``, also makes the file that the settings name, where it is not there yet.

        Raises:
            SettingsInvalid, Refused: as ``master``. OSError: the file cannot be made there.
        """
        self._make_first()
        return self.master

    def _make_first(self) -> None:
        if made := make_master_keys(self._redis, self._settings):
            # Sealed with the key itself, so it cannot come first.
            with self.auditing.change("CreateMasterKey", what=made.current):
                pass

    @property
    def known_master(self) -> MasterKeys | None:
        """The master keys where this program has them; none is made."""
        return self._master or find_master_keys(self._settings)

    def issue_credentials(self, instance_id: str, *, for_registration: bool = False) -> Issued:
        """Give a registered instance credentials; those it had before are worthless from now on.

        Unless it is a registration that gets them, the machine that once registered as this instance is given no
        others any more: whoever has taken its files would be let in again by its activation.

        Raises:
            NotFound: no such instance.
            RedisRefused: our Redis user may not manage users.
        """
        master = self.master
        with self.auditing.change("IssueCredentials", what=instance_id):
            stored = instances.load(self._redis, instance_id)
            if stored.activation_id and not for_registration:
                # First of all: a registration that is under way looks at it last.
                activations.end_use(self._redis, stored.activation_id, stored.activation_machine, instance_id)
                # It may be about to give the instance others, and to throw them away then.
                await_registration(self._redis, stored.activation_id, stored.activation_machine)
            issued = identities.issue(
                self._redis, master, instance_id, agent_redis_url=self._settings.security.agent_redis_url
            )
            try:
                instances.load(self._redis, instance_id)
            except NotFound:
                # It was let go meanwhile, and whoever did that may have looked for credentials before these were there.
                identities.revoke(self._redis, instance_id)
                raise
            return issued

    def renew_rights(self, instance_ids: Sequence[str] | None = None) -> Renewed:
        """Give the Redis users of these instances, or of all, the rights of this release; no password changes.

        Agents that are connected go on working. Nothing is given to one whose user is not as it was issued.

        Raises:
            NotFound: no such instance. RedisRefused: our Redis user may not manage users.
            Refused: the master key of this installation is not here.
        """
        self._require_own_master()
        credentials = identities.load_credentials(self._redis)
        chosen = list(credentials if instance_ids is None else dict.fromkeys(instance_ids))
        what = chosen[0] if len(chosen) == 1 else ""
        with self.auditing.change("RenewRights", what=what, **named_targets(chosen)) as change:
            for one in chosen:
                if one not in credentials:
                    instances.load(self._redis, one)
            return _entered(change, renew_agents(self._redis, {one: credentials.get(one) for one in chosen}))

    def renew_program_rights(self, programs: Sequence[ControlProgram] | None = None) -> Renewed:
        """Give the Redis users of these programs, or of all that have one, the rights of this release.

        Raises:
            RedisRefused: our Redis user may not manage users. Refused: the master key of this installation is not here.
        """
        self._require_own_master()
        with self.auditing.change("RenewProgramRights", what=" ".join(programs or ())) as change:
            return _entered(change, renew_programs(self._redis, programs))

    def _require_own_master(self) -> None:
        """Refuse whoever is of another installation, or has not the master key of this one; none is made."""
        if self.known_master or self._redis.call("EXISTS", keys.MASTER_KEYS):
            self.master  # noqa: B018

    def rotate_master_key(self) -> RotationStatus:
        """Make a new master key and send every instance its new key; nothing is refused meanwhile.

        Raises:
            Refused: another machine has made a master key that is not here.
            OSError: the master key file cannot be written.
        """
        rotation = self._rotation()
        with self.auditing.change("RotateMasterKey", what=self.master.current) as change:
            self._master = rotation.begin()
            change.facts["NewKey"] = self._master.current
            return rotation.status()

    def settle_rotation(self) -> RotationStatus:
        """Sign with the new key for every instance that has it by now; answers where the fleet stands."""
        rotation = self._rotation()
        status = rotation.status()
        ready = rotation.ready(status.waiting)
        if not ready:
            # Whoever waits looks again and again, and looking is not entered in the audit.
            return status
        with self.auditing.change("SettleKeyRotation", what=status.current):
            return rotation.settle(ready)

    def _rotation(self) -> Rotation:
        return Rotation(self._redis, self.master, master_key_path(self._settings))

    def verify_results(self, invoke_id: str) -> list[Verified]:
        """Find out which results of an invocation are what their agents signed.

        Raises:
            NotFound: no such invocation.
        """
        return verify_results(self._redis, self.master, load_invocation(self._redis, invoke_id))

    def deregister(self, instance_id: str) -> instances.StoredInstance:
        """Let an instance go: its connections end at once, its open executions get their reason.

        Raises:
            NotFound: no such instance.
        """
        with self.auditing.change("DeregisterInstance", what=instance_id):
            refusals_of_agents.take_over(self._redis, self.auditing.chain, [instance_id])
            return self.let_go(instance_id)

    def let_go(self, instance_id: str) -> instances.StoredInstance:
        """Let an instance go as a part of another change.

        Raises:
            NotFound: no such instance.
        """
        days = self._settings.limits.history_days
        return deregistration.deregister(self._redis, instance_id, history_days=days)

    def quarantine(self, instance_id: str, reason: str) -> None:
        """Give an instance no more work, until it is released.

        Raises:
            NotFound: no such instance. RequestInvalid: the reason is empty; it is what a listing shows of a quarantine.
        """
        if not reason.strip():
            raise RequestInvalid("a quarantine needs a reason; it is shown with the instance", code="MissingReason")
        with self.auditing.change("QuarantineInstance", what=instance_id, Reason=reason):
            instances.load(self._redis, instance_id)
            self._redis.call("HSETNX", keys.quarantine(instance_id), "reason", reason)

    def release(self, instance_id: str) -> bool:
        """Give an instance work again; false when it was not in quarantine.

        Raises:
            NotFound: no such instance.
        """
        with self.auditing.change("ReleaseInstance", what=instance_id):
            instances.load(self._redis, instance_id)
            return bool(self._redis.call("DEL", keys.quarantine(instance_id)))


def _entered(change: Change, renewed: Renewed) -> Renewed:
    change.facts["ChangedCount"] = str(len(renewed.changed))
    change.facts["LeftCount"] = str(len(renewed.left))
    return renewed
