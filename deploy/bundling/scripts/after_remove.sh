#!/bin/sh
# After the files went: Debian calls it with "remove", then "purge"; rpm with 0, or with 1 for an upgrade.
set -e
name=cloud-assistant-agent
case "${1:-}" in
  remove | purge | 0)
    # Versions that the agent fetched itself are no package's files.
    rm -rf /opt/cloud-assistant/versions /opt/cloud-assistant/current
    if [ -d /opt/cloud-assistant ]; then rmdir /opt/cloud-assistant 2>/dev/null || true; fi
    if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
    ;;
esac
if [ "${1:-}" = purge ]; then
  if command -v update-rc.d >/dev/null 2>&1; then update-rc.d $name remove >/dev/null 2>&1 || true; fi
  # Credentials, keys, results that were never delivered, and logs.
  rm -rf /etc/cloud-assistant /var/lib/cloud-assistant /var/log/cloud-assistant
fi
