"""The program ``assist-gateway``. Only what a start needs is imported, so that ``--help`` is quick."""

import sys
from typing import Any

import click

from ...broker_config.programs.command_line import Program, config_option, filled, version_option

_EXAMPLES = """\b
Examples:
  assist-gateway
  assist-gateway --host 0.0.0.0 --tls-certificate gateway.pem --tls-key gateway.key
  assist-gateway --unix-socket /run/cloud-assistant/gateway.sock
  curl http://127.0.0.1:8177/healthz
"""


#: Options and the settings they stand for.
_SETTINGS = {
    "host": "gateway.host",
    "port": "gateway.port",
    "unix_socket": "gateway.unix_socket",
    "tls_certificate": "gateway.tls_certificate",
    "tls_key": "gateway.tls_key",
    "redis_url": "redis_url",
    "home": "home",
}


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@version_option("assist-gateway")
@click.option("--host", metavar="ADDRESS", help="Address to listen on; 127.0.0.1 unless set.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 8177 unless set; 0 picks a free one.")
@click.option("--unix-socket", metavar="PATH", callback=filled, help="Listen on a Unix socket instead.")
@click.option(
    "--tls-certificate", metavar="FILE", callback=filled, help="Certificate (PEM); with --tls-key it turns HTTPS on."
)
@click.option("--tls-key", metavar="FILE", callback=filled, help="Private key (PEM).")
@click.option("--redis-url", metavar="URL", callback=filled, help="Where Redis is.")
@click.option("--home", metavar="FOLDER", callback=filled, help="State folder, for the master key.")
@config_option
@click.option("--debug", is_flag=True, help="Log every step.")
def main(config: str, debug: bool, **given: Any) -> None:
    """Serve the ECS OpenAPI of Cloud Assistant at /, and /healthz and /metrics, until SIGTERM or Ctrl-C.

    Settings come from the command line, then the environment (CLOUD_ASSISTANT_…), then a TOML file.

    Exit codes: 0 ended as asked; 2 a setting is wrong or the address cannot be used.
    """
    from .program import run  # lazy: the help does without

    overrides = {_SETTINGS[name]: value for name, value in given.items() if value is not None}
    sys.exit(run(overrides, config=config, debug=debug))
