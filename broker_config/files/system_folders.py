"""Where a system keeps what belongs to the machine and not to a user: settings, state, logs, programs."""

import ntpath
import os

if os.name == "nt":
    # Where these are is the system's to say, and it says so to every program.
    _data = ntpath.expandvars(r"%ProgramData%\CloudAssistant")
    SETTINGS_FOLDER = STATE_FOLDER = _data
    LOG_FOLDER = ntpath.join(_data, "log")
    INSTALL_FOLDER = ntpath.expandvars(r"%ProgramFiles%\CloudAssistant")
else:
    SETTINGS_FOLDER = "/etc/cloud-assistant"
    STATE_FOLDER = "/var/lib/cloud-assistant"
    LOG_FOLDER = "/var/log/cloud-assistant"
    INSTALL_FOLDER = "/opt/cloud-assistant"

#: Settings and credentials of the machine's agent.
SETTINGS_FILE = os.path.join(SETTINGS_FOLDER, "config.toml")  # noqa: PTH118 - paths as strings, as settings are
#: The local policy of the machine's owner.
POLICY_FILE = os.path.join(SETTINGS_FOLDER, "agent.toml")  # noqa: PTH118 - as above
#: Public keys of those whose archives are installed.
PUBLISHERS_FOLDER = os.path.join(SETTINGS_FOLDER, "publishers")  # noqa: PTH118 - as above
