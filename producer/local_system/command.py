"""``assist up`` on the command line."""

import os

import click

from ...broker_config.errors import Refused
from ...broker_config.settings import load
from ...broker_config.settings_table import Value
from .options import UpOptions

_EPILOG = """\b
Examples:
  assist up
  assist up --home ~/trial --redis-port 6400 --gateway-port 8178 --flower-port 5556
  assist up --redis-url redis://:PASSWORD@redis.example.org:6379/0 --no-agent
"""


@click.command("up", epilog=_EPILOG)
@click.option("--home", help="State folder: data, keys, logs.  [CLOUD_ASSISTANT_HOME]")
@click.option("--redis-url", help="Use this Redis instead of running one.  [CLOUD_ASSISTANT_REDIS_URL]")
@click.option("--redis-port", type=click.IntRange(1, 65535), help="Port of the server that is run; it is remembered.")
@click.option("--instance-id", help="Id of this machine as an instance, i-….  [CLOUD_ASSISTANT_INSTANCE_ID]")
@click.option("--gateway-port", type=click.IntRange(0, 65535), help="Port of the gateway; 0 picks a free one.")
@click.option("--flower-port", type=click.IntRange(0, 65535), help="Port of Flower; 0 picks a free one.")
@click.option("--no-flower", is_flag=True, help="Leave Flower out.")
@click.option("--no-agent", is_flag=True, help="Leave the agent out: this machine does not become an instance.")
@click.pass_context
def up_command(
    context: click.Context,
    *,
    home: str | None,
    redis_url: str | None,
    redis_port: int | None,
    instance_id: str | None,
    gateway_port: int | None,
    flower_port: int | None,
    no_flower: bool,
    no_agent: bool,
) -> None:
    """Run a whole local system: Redis server, beat, gateway, agent and Flower. Ctrl-C ends it.

    Data, keys and logs are in one home; the next `assist up` on it goes on where this one ended.
    """
    if os.name != "posix":
        raise Refused("`assist up` runs on Linux and macOS; on Windows, run the programs one by one (see README)")
    given: dict[str, Value | None] = {
        "home": home,
        "redis_url": redis_url,
        "instance_id": instance_id,
        "gateway.port": gateway_port,
        "flower.port": flower_port,
        "flower.enabled": False if no_flower else None,
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    config = context.find_root().params.get("config") or ""
    loaded = load(overrides, config=config)

    from .system import run_up  # lazy: it needs POSIX, and the other commands need to start fast

    context.exit(run_up(loaded, UpOptions(redis_port=redis_port, with_agent=not no_agent)))
