"""Decide what the local system consists of this time, before anything is started."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...broker_config.errors import RedisUnreachable, SettingsInvalid
from ...broker_config.redis.url import parse_url
from ...broker_config.settings import Loaded
from ..security.program_rights import ControlProgram
from .embedded_server import choose_port, prepare_server
from .home_folder import choose_instance_id
from .options import UpOptions
from .port_claims import PortClaim, check_claims, check_loopback
from .ports import LOOPBACK, next_free_port
from .programs import (
    FLOWER_PORT,
    Program,
    answers,
    beat_program,
    flower_program,
    gateway_program,
    redis_program,
)
from .server_binary import find_server_binary


@dataclass(frozen=True)
class Plan:
    """What to run: the server (None when Redis is not ours), the programs that need it, and last the agent."""

    redis_url: str
    server: Program | None
    programs: Sequence[Program]
    #: "" where this machine is to be no instance.
    instance_id: str


def make_plan(loaded: Loaded, options: UpOptions, home: Path) -> Plan:
    """Look at everything that can be known beforehand.

    Raises:
        Refused: a port is taken, a program is not installed, or the loopback interface is down.
        RedisUnreachable: the Redis that we were told to use does not answer.
        SettingsInvalid: the instance id is none, or the options contradict each other.
    """
    if uses_own_server(loaded) or loaded.settings.flower.enabled:
        check_loopback(LOOPBACK)
    flower_port = loaded.settings.flower.port or next_free_port(LOOPBACK, FLOWER_PORT)
    claims = [*_gateway_claims(loaded), *_flower_claims(loaded, flower_port)]
    if uses_own_server(loaded):
        redis_port = choose_port(home, options.redis_port)
        check_claims([PortClaim("Redis", LOOPBACK, redis_port, "--redis-port"), *claims])
        server = prepare_server(home, find_server_binary(), redis_port)
        redis_url, server_program = server.redis_url, redis_program(server)
        own_url: Callable[[ControlProgram], str] = server.url_of
    else:
        if options.redis_port:
            raise SettingsInvalid(
                f"--redis-port is for a server that `assist up` runs, and {loaded.sources['redis_url']} names another "
                "Redis; leave one of the two out"
            )
        check_claims(claims)
        redis_url, server_program = loaded.settings.redis_url, None
        # Its users are not ours to make.
        own_url = _same_for_all(redis_url)
        if not answers(redis_url):
            shown = parse_url(redis_url).shown()
            raise RedisUnreachable(f"no Redis at {shown} (from {loaded.sources['redis_url']})")
    programs = [
        beat_program(loaded, home, own_url(ControlProgram.BEAT)),
        gateway_program(loaded, home, own_url(ControlProgram.GATEWAY)),
    ]
    if loaded.settings.flower.enabled:
        programs.append(flower_program(home, own_url(ControlProgram.FLOWER), flower_port))
    instance_id = choose_instance_id(home, loaded.settings.instance_id) if options.with_agent else ""
    return Plan(redis_url, server_program, programs, instance_id)


def uses_own_server(loaded: Loaded) -> bool:
    """Whether nobody named a Redis: what an earlier `assist up` left behind does not count."""
    source = loaded.sources.get("redis_url", "")
    return not source or source.startswith("assist up")


def _same_for_all(redis_url: str) -> Callable[[ControlProgram], str]:
    return lambda _: redis_url


def _gateway_claims(loaded: Loaded) -> list[PortClaim]:
    gateway = loaded.settings.gateway
    if gateway.unix_socket or not gateway.port:
        return []
    return [PortClaim("the gateway", gateway.host, gateway.port, "--gateway-port")]


def _flower_claims(loaded: Loaded, port: int) -> list[PortClaim]:
    return [PortClaim("Flower", LOOPBACK, port, "--flower-port")] if loaded.settings.flower.enabled else []
