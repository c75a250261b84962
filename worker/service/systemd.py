"""The unit for systemd.

``KillMode=process`` is what lets scripts live on when the agent is stopped, restarted or upgraded: systemd ends the
agent alone, and the next agent adopts the supervisors. Scripts may do what an administrator may, so the unit takes no
rights away unless it is asked to: whatever it took from the agent it would take from the scripts as well.
"""

from .plan import DESCRIPTION, ENVIRONMENT_FILE, RESTART_SECONDS, SERVICE_NAME, STOP_SECONDS, ServicePlan

#: Twice the longest that one turn of the agent's lane takes while Redis hangs.
WATCHDOG_SECONDS = 180

_HARDENING = """\
# Asked for with --harden: these hold for the scripts too.
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=no
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID
UMask=0077
"""


def unit(plan: ServicePlan) -> str:
    """The unit file."""
    # A dollar sign is doubled in commands alone: systemd puts variables in there.
    command = " ".join(_quoted(part).replace("$", "$$") for part in (plan.program, *plan.arguments))
    environment = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in plan.environment.items())
    return f"""\
[Unit]
Description={DESCRIPTION}
Wants=network-online.target
After=network-online.target time-sync.target
# Without credentials there is nobody to be; registration makes this file.
ConditionPathExists={plan.config.replace("%", "%%")}
# Redis may be away for days; starting again is never given up.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{environment}EnvironmentFile=-{ENVIRONMENT_FILE}
# The agent alone is ended; running scripts go on and the next agent takes them up.
KillMode=process
TimeoutStopSec={STOP_SECONDS}
TimeoutStartSec=60
Restart=always
RestartSec={RESTART_SECONDS}
# 2: a setting is wrong, which no further start would fix.
RestartPreventExitStatus=2
# The agent answers from the loop that takes stop requests and beats; a hung one is replaced, scripts go on.
WatchdogSec={WATCHDOG_SECONDS}
WatchdogSignal=SIGKILL
# Scripts get control groups of their own below the agent's.
Delegate=yes
TasksMax=infinity
LimitNOFILE=65536
{_HARDENING if plan.is_hardened else ""}
[Install]
WantedBy=multi-user.target
"""


#: Paths below the root of a machine.
UNIT_FILE = f"etc/systemd/system/{SERVICE_NAME}.service"
PACKAGED_UNITS = tuple(f"{folder}/systemd/system/{SERVICE_NAME}.service" for folder in ("lib", "usr/lib"))
WANTS_LINK = f"etc/systemd/system/multi-user.target.wants/{SERVICE_NAME}.service"


def _quoted(text: str) -> str:
    """One word for systemd: quoted where needed, percent signs doubled."""
    text = text.replace("%", "%%")
    if any(character in text for character in ' "\\\t'):
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return text
