"""The programs of a local system: what is started, with which environment, and how each shows that it is ready."""

import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...broker_config.errors import RedisRefused, RedisUnreachable, Refused
from ...broker_config.redis.client import Redis
from ...broker_config.settings import Loaded, child_environment, environment_name
from .embedded_server import EmbeddedServer
from .ports import LOOPBACK, accepts

_MONITOR_APP = f"{__package__.rpartition('.')[0]}.monitor_app"
#: Flower's own; a free one is looked for from here where any port will do.
FLOWER_PORT = 5555

#: Settings that each program gets from us, by section, where they differ from its defaults. The agent gets neither
#: the place of the master key nor the gateway's access keys.
_SECTIONS = {
    "agent": ("agent", "limits"),
    "beat": ("beat", "limits", "security"),
    "gateway": ("gateway", "limits", "security"),
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program of the local system."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    #: Given what this run has logged so far: "" while it is not ready, else where it is or what it is, for people.
    ready_place: Callable[[str], str]
    #: Its end when asked politely; then it is killed.
    stop_seconds: float = 10.0
    ready_seconds: float = 60.0
    #: Processes that stay behind in its group are ended with it. Not the agent's: scripts outlive it.
    ends_group: bool = True


def redis_program(server: EmbeddedServer) -> Program:
    """The embedded server; reading back a large append-only file takes its time."""

    def place(_log: str) -> str:
        return Redis(server.redis_url).address.shown() if answers(server.redis_url) else ""

    return Program(
        name="Redis", argv=server.argv, environment=child_environment(), ready_place=place, ready_seconds=600.0
    )  # fmt: skip


def beat_program(loaded: Loaded, home: Path, redis_url: str) -> Program:
    """Beat: the scheduler and the sweeper."""
    return Program(
        name="beat",
        argv=(script("assist-beat"),),
        environment=handed_down("beat", loaded, home=home, redis_url=redis_url),
        ready_place=_logged(r"\bbeat ready\b", "schedules and deadlines"),
    )


def gateway_program(loaded: Loaded, home: Path, redis_url: str) -> Program:
    """The HTTP front."""
    return Program(
        name="gateway",
        argv=(script("assist-gateway"),),
        environment=handed_down("gateway", loaded, home=home, redis_url=redis_url),
        ready_place=_logged(r"\bgateway ready\b.*?\burl=(\S+)"),
    )


def agent_program(instance_id: str, environment: Mapping[str, str], credentials: Path) -> Program:
    """The agent that makes this machine an instance."""
    return Program(
        name="agent",
        argv=(script("assist-agent"), "run", "--config", str(credentials)),
        environment=environment,
        ready_place=_logged(r"\bagent ready\b", instance_id),
        stop_seconds=15.0,
        ends_group=False,
    )


def flower_program(home: Path, redis_url: str, port: int) -> Program:
    """The monitor; on loopback only, because who reaches it sees everything, and unable to change anything."""

    def place(_log: str) -> str:
        return f"http://{LOOPBACK}:{port}" if accepts(LOOPBACK, port) else ""

    return Program(
        name="Flower",
        argv=(
            script("celery"),
            *("-A", _MONITOR_APP, "flower"),
            *(f"--address={LOOPBACK}", f"--port={port}"),
            "--read-only=True",
            # Agents send events unasked; there is nobody to switch them on.
            "--enable-events=False",
        ),
        environment=child_environment(CLOUD_ASSISTANT_REDIS_URL=redis_url, CLOUD_ASSISTANT_HOME=str(home)),
        ready_place=place,
    )


def answers(redis_url: str) -> bool:
    """Tell whether the server there takes commands by now; one that is still loading does not.

    Raises:
        RedisRefused: it answers and will not have us.
    """
    redis = Redis(redis_url, timeout_seconds=2.0, connect_timeout_seconds=1.0, name="assist-up")
    try:
        redis.call("PING")
    except RedisUnreachable:
        return False
    except RedisRefused as exc:
        if exc.kind == "LOADING":
            return False
        raise
    finally:
        redis.close()
    return True


def script(name: str) -> str:
    """The full path of a console script that was installed together with this program.

    Raises:
        Refused: the installation is not complete.
    """
    folders = dict.fromkeys((str(Path(sys.executable).parent), sysconfig.get_path("scripts")))
    for folder in folders:
        if (Path(folder) / name).is_file():
            return str(Path(folder) / name)
    raise Refused(
        f"the program {name} is not installed in {' or '.join(folders)}; run: pip install 'cloud-assistant[control]'"
    )


def handed_down(name: str, loaded: Loaded, *, home: Path, redis_url: str) -> dict[str, str]:
    """Hand down what `assist up` itself was told, wherever that came from; no address where that is in a file."""
    given = {
        environment_name(setting): _as_text(_value(loaded, setting))
        for setting in _given_settings(loaded)
        if setting.partition(".")[0] in _SECTIONS[name]
    }
    own = {"home": str(home), **({"redis_url": redis_url} if redis_url else {})}
    return child_environment(**given, **{environment_name(setting): value for setting, value in own.items()})


def _given_settings(loaded: Loaded) -> Iterable[str]:
    return (setting for setting in loaded.sources if "." in setting)


def _value(loaded: Loaded, setting: str) -> object:
    section, _, inner = setting.partition(".")
    return getattr(getattr(loaded.settings, section), inner)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _logged(pattern: str, place: str = "") -> Callable[[str], str]:
    """Ready once a line like this is in the log; what is in brackets is the place, else ``place``."""
    wanted = re.compile(pattern)

    def ready_place(log: str) -> str:
        found = wanted.search(log)
        return (place or found.group(1)) if found else ""

    return ready_place
