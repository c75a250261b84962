"""The commands that make a Windows service, as a PowerShell script to read and to run.

The service manager starts ``assist-agent windows-service``, which speaks its protocol (see ``windows_host.py``) and
keeps the agent running as a program of its own.
"""

from .plan import DESCRIPTION, RESTART_SECONDS, SERVICE_NAME, ServicePlan

SCRIPT_FILE = f"{SERVICE_NAME}-install.ps1"


def install_script(plan: ServicePlan) -> str:
    """The script; it needs an administrator's rights."""
    command = f'"{plan.program}" windows-service --config "{plan.config}"'.replace("'", "''")
    delay_ms = RESTART_SECONDS * 1000
    return f"""\
# Makes the service of {DESCRIPTION}; run as an administrator. Removing it again: sc.exe delete {SERVICE_NAME}
$ErrorActionPreference = 'Stop'
New-Item -ItemType Directory -Force -Path '{plan.home}' | Out-Null
# Nobody but administrators and the system may read the keys in there.
icacls.exe '{plan.home}' /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
New-Service -Name '{SERVICE_NAME}' -DisplayName '{DESCRIPTION}' -StartupType Automatic -BinaryPathName '{command}'
sc.exe failure {SERVICE_NAME} reset= 86400 actions= restart/{delay_ms}/restart/{delay_ms}/restart/{delay_ms}
sc.exe failureflag {SERVICE_NAME} 1
if (Test-Path '{plan.config}') {{ Start-Service -Name '{SERVICE_NAME}' }}
"""
