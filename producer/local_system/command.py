"""``assist up`` on the command line."""

import os

import click

from ...broker_config.errors import Refused
from ...broker_config.settings import load
from ...broker_config.settings_table import Value
from ..cli.assist_command import assist_command
from ..cli.call import Call
from .options import UpOptions

_EXAMPLES = (
    "assist up",
    "assist up --home /tmp/trial --redis-port 6400 --gateway-port 8178 --flower-port 5556",
    "assist up --redis-url redis://redis.example.org:6379/0 --no-agent",
)


@assist_command("up", examples=_EXAMPLES)
@click.option(
    "--redis-port", type=click.IntRange(1, 65535), metavar="PORT", help="Port of the server it runs; it is remembered."
)
@click.option("--instance-id", metavar="ID", help="Id of this machine as an instance.  [CLOUD_ASSISTANT_INSTANCE_ID]")
@click.option(
    "--gateway-port", type=click.IntRange(0, 65535), metavar="PORT", help="Port of the gateway; 0 for any free one."
)
@click.option(
    "--flower-port", type=click.IntRange(0, 65535), metavar="PORT", help="Port of Flower; 0 for any free one."
)
@click.option("--no-flower", is_flag=True, help="Leave Flower out.")
@click.option("--no-agent", is_flag=True, help="Do not make this machine an instance.")
@click.option("--no-access-key", is_flag=True, help="Do not create and show a first access key for the gateway.")
def up_command(
    call: Call,
    *,
    redis_port: int | None,
    instance_id: str | None,
    gateway_port: int | None,
    flower_port: int | None,
    no_flower: bool,
    no_agent: bool,
    no_access_key: bool,
) -> int:
    """Run a whole local system: Redis server, beat, gateway, agent and Flower. Ctrl-C ends it.

    Data, keys and logs are kept in one home folder; the next `assist up` there goes on where this one ended. With
    --redis-url it uses that Redis and runs none of its own.
    """
    if os.name != "posix":
        raise Refused("`assist up` runs on Linux and macOS; on Windows, run the programs one by one (see README)")
    given: dict[str, Value | None] = {
        "home": call.home or None,
        "redis_url": call.redis_url or None,
        "instance_id": instance_id,
        "gateway.port": gateway_port,
        "flower.port": flower_port,
        "flower.enabled": False if no_flower else None,
    }
    loaded = load({name: value for name, value in given.items() if value is not None}, config=call.config)

    from .system import run_up  # lazy: it needs POSIX, and the help needs to be fast

    return run_up(loaded, UpOptions(redis_port=redis_port, with_agent=not no_agent, with_access_key=not no_access_key))
