"""Register this machine: prove who asks, ask the gateway, keep what it gives."""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import Refused, SettingsInvalid
from ...broker_config.files.presence import is_there
from ...broker_config.files.private_file import make_private_folder, write_private_file
from ..file_lock import open_to_lock, take_lock
from ..identity import machine_id, written_machine_id
from .registration_request import Granted, RegistrationClient
from .settings_file import registered_instance, write_identity

#: In the home: what proves that a repeated registration comes from here, by activation id.
_PROOFS_FILE = "registration.json"
_PROOF_BYTES = 24
#: In the home: locked by the process that registers.
_LOCK_FILE = "registration.lock"
_LOOK_SECONDS = 0.1
#: Longer than all tries of the other one may take.
_PATIENCE_SECONDS = 240.0
#: In the same file, before the activation's id: its secret was drawn anew, and what was given for it is not kept yet.
_FORCED = "forced "
#: In an image: what vouches for the gateway, beside the settings that name it.
_CA_FILE = Path("etc/cloud-assistant/gateway-ca.pem")
_HEADING = "Written by assist-agent register: whoever has this file can be this instance."


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    activation_id: str
    activation_code: str = field(repr=False)
    name: str = ""
    force_new: bool = False


def already_registered(config: Path) -> str:
    """The instance that this machine is by now; ``""`` when it is none."""
    return registered_instance(config) if is_there(config) else ""


@contextmanager
def alone(home: Path, *, pause: Callable[[float], object], on_wait: Callable[[], object]) -> Iterator[None]:
    """Register with no other process beside us that registers with this home; wait for one that does.

    Two at once would each draw a secret of their own, and the machine become two instances, one of which nobody runs.
    ``on_wait`` is called once before a wait. The other one's end, however it comes, ends it.

    Raises:
        Refused: the home cannot be made or written, or the other one does not come to an end.
    """
    path = home / _LOCK_FILE
    try:
        make_private_folder(home)
        fd = open_to_lock(path)
    except OSError as exc:
        raise Refused(f"{path} cannot be written: {exc.strerror}", code="FileNotWritten") from exc
    try:
        if not take_lock(fd):
            on_wait()
            _wait_for_lock(fd, path, pause)
        yield
    finally:
        os.close(fd)


def _wait_for_lock(fd: int, path: Path, pause: Callable[[float], object]) -> None:
    give_up_at = monotonic_seconds() + _PATIENCE_SECONDS
    while not take_lock(fd):
        if monotonic_seconds() > give_up_at:
            raise Refused(f"another process holds {path} and does not end; end it, and run this again")
        pause(_LOOK_SECONDS)


def register_machine(
    client: RegistrationClient, wanted: Wanted, *, home: Path, config: Path, root: Path = Path("/")
) -> Granted:
    """Register with the gateway and write the settings file, with the gateway for later upgrades.

    A run that broke off anywhere may be repeated: it gets the same instance, and no second use is taken. With another
    ``root`` than ``/`` it is the machine of an image that registers.

    Raises:
        GatewayUnreachable, Refused: from the gateway.
        SettingsInvalid, Refused: a file cannot be read or written.
    """
    if wanted.force_new:
        _draw_anew(home, wanted.activation_id)
    vouching = {"gateway.ca_file": _kept_certificates(client.ca_file, root)} if client.ca_file else {}
    proof = _proof(home, wanted.activation_id)
    granted = client.register(
        {
            "ActivationId": wanted.activation_id,
            "ActivationCode": wanted.activation_code,
            "MachineId": _fingerprint(root, proof, home),
            "ClientToken": proof,
            "Name": wanted.name,
            "ForceNew": wanted.force_new,
        }
    )
    write_identity(config, {**granted.settings, "gateway.url": client.gateway, **vouching}, heading=_HEADING)
    if wanted.force_new:
        _forget(home, _FORCED + wanted.activation_id)
    return granted


def _fingerprint(root: Path, proof: str, home: Path) -> str:
    """A name for this machine that tells nobody its machine-id, which other programs rely on as a secret.

    An image must not be taken for the machine that builds it, or for the last one built there.
    """
    try:
        name = machine_id(home) if root == Path("/") else written_machine_id(root) or proof
    except OSError as exc:
        raise Refused(f"the machine's name cannot be kept in {home}: {exc.strerror}", code="FileNotWritten") from exc
    return hashlib.sha256(f"cloud-assistant registration {name}".encode()).hexdigest()


def _kept_certificates(ca_file: str, root: Path) -> str:
    """Where the machine finds what vouches for the gateway: where it lies, or for an image in a copy inside of it."""
    if root == Path("/"):
        return str(Path(ca_file).absolute())
    given, root = Path(ca_file).resolve(), root.resolve()
    if given.is_relative_to(root):
        return str(Path("/") / given.relative_to(root))
    copy = root / _CA_FILE
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(given.read_bytes())
        copy.chmod(0o644)
    except OSError as exc:
        raise Refused(f"{copy} cannot be written: {exc.strerror}", code="FileNotWritten") from exc
    return str(Path("/") / _CA_FILE)


def _proof(home: Path, activation_id: str) -> str:
    """The secret for this activation, on disk before anybody is told of it."""
    proofs = _read(home)
    if activation_id not in proofs:
        proofs[activation_id] = secrets.token_hex(_PROOF_BYTES)
        _write(home, proofs)
    return proofs[activation_id]


def _draw_anew(home: Path, activation_id: str) -> None:
    """Have another use taken; by the repetition of a run that has not kept what it was given, no further one."""
    proofs = _read(home)
    if _FORCED + activation_id not in proofs:
        fresh = secrets.token_hex(_PROOF_BYTES)
        _write(home, {**proofs, activation_id: fresh, _FORCED + activation_id: "yes"})


def _forget(home: Path, name: str) -> None:
    proofs = _read(home)
    if proofs.pop(name, None):
        _write(home, proofs)


def _read(home: Path) -> dict[str, str]:
    path = home / _PROOFS_FILE
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise SettingsInvalid(f"{path}: {exc}; remove it, or give another --home") from exc
    if not isinstance(parsed, dict):
        raise SettingsInvalid(f"{path} is not ours; remove it, or give another --home")
    return {str(name): str(value) for name, value in parsed.items()}


def _write(home: Path, proofs: dict[str, str]) -> None:
    path = home / _PROOFS_FILE
    try:
        make_private_folder(home)
        write_private_file(path, json.dumps(proofs))
    except OSError as exc:
        raise Refused(f"{path} cannot be written: {exc.strerror}", code="FileNotWritten") from exc
