"""Say at the start, loudly where it matters, what this agent will and will not do."""

from ..broker_config.errors import SettingsInvalid
from ..broker_config.programs.program_log import logger
from ..broker_config.settings_table import Settings
from .identity import features_off

_log = logger("agent")


def report_security(settings: Settings, *, has_key: bool) -> None:
    """Warn of settings that let others than our producers run scripts here.

    Raises:
        SettingsInvalid: unsigned executions are forbidden and there is no key to check signatures with.
    """
    if has_key:
        return
    if not settings.agent.accept_unsigned:
        raise SettingsInvalid(
            "this instance has no credentials and agent.accept_unsigned is off, so nothing could run. Make credentials"
            " with `assist instance add ID --credentials FILE` and run: assist-agent run --config FILE. To run without"
            " them, and let whoever can write to Redis run scripts here, set CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED=true"
        )
    _log.warning(
        "INSECURE: agent.accept_unsigned is on and this instance has no key:"
        " whoever can write to Redis can run scripts here as this user"
    )


def report_rights() -> None:
    """Say what cannot be done, for want of rights or by the system."""
    missing = features_off()
    if missing:
        _log.warning("what this agent cannot do on this machine, as this user: %s", ", ".join(missing))
