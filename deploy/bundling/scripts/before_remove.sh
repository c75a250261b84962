#!/bin/sh
# Before the files go: Debian calls it with "remove" or "upgrade", rpm with 0 or with 1 for an upgrade.
set -e
case "${1:-}" in remove | deconfigure | 0) ;; *) exit 0 ;; esac
name=cloud-assistant-agent
# For who installs it again: then it is a service again.
if [ "${1:-}" = remove ] && [ -d /var/lib/cloud-assistant ]; then : >/var/lib/cloud-assistant/removed; fi
if command -v systemctl >/dev/null 2>&1; then
  if [ -d /run/systemd/system ]; then systemctl stop $name || true; fi
  systemctl disable $name >/dev/null 2>&1 || true
else
  if command -v invoke-rc.d >/dev/null 2>&1; then invoke-rc.d $name stop || true
  else /etc/init.d/$name stop || true; fi
  if command -v chkconfig >/dev/null 2>&1; then chkconfig --del $name || true; fi
fi
