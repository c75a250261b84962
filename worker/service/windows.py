"""The agent as a task of Windows' own scheduler, started with the machine, as a PowerShell script to read and to run.

A service in the narrow sense must speak the protocol of the service control manager, which an ordinary program does
not. The task scheduler runs ordinary programs as the system, before anybody signs in, and starts them again.
"""

import ntpath
import os

from ...broker_config.files.system_folders import STATE_FOLDER
from .plan import DESCRIPTION, SERVICE_NAME, ServicePlan

_SCRIPT_NAME = f"{SERVICE_NAME}-install.ps1"
#: Where nobody but administrators writes; elsewhere it is only printed.
SCRIPT_FILE = ntpath.join(STATE_FOLDER, _SCRIPT_NAME) if os.name == "nt" else _SCRIPT_NAME


def install_script(plan: ServicePlan) -> str:
    """The script; it needs an administrator's rights."""
    quoted = {name: value.replace("'", "''") for name, value in vars(plan).items() if isinstance(value, str)}
    # A task has no environment of its own for what is not the default.
    home = f' --home "{quoted["home"]}"' if plan.home != STATE_FOLDER else ""
    arguments = f'run --config "{quoted["config"]}"{home}'
    return f"""\
# Starts the {DESCRIPTION} with the machine; run as an administrator.
# Removing it again: Unregister-ScheduledTask -TaskName '{SERVICE_NAME}' -Confirm:$false
$ErrorActionPreference = 'Stop'
New-Item -ItemType Directory -Force -Path '{quoted["home"]}' | Out-Null
# Nobody but administrators and the system may read the keys in there.
icacls.exe '{quoted["home"]}' /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
$action = New-ScheduledTaskAction -Execute '{quoted["program"]}' -Argument '{arguments}'
$trigger = New-ScheduledTaskTrigger -AtStartup
$principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -RunLevel Highest
# Once a minute, for ever; no limit on its time, and never two at once.
$settings = New-ScheduledTaskSettingsSet -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
  -ExecutionTimeLimit (New-TimeSpan) -MultipleInstances IgnoreNew -StartWhenAvailable `
  -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
Register-ScheduledTask -Force -TaskName '{SERVICE_NAME}' -Description '{DESCRIPTION}' `
  -Action $action -Trigger $trigger -Principal $principal -Settings $settings | Out-Null
if (Test-Path '{quoted["config"]}') {{ Start-ScheduledTask -TaskName '{SERVICE_NAME}' }}
"""
