#!/bin/sh
# After the files are there: Debian calls it with "configure", rpm with the number of installed versions.
set -e
case "${1:-}" in abort-*) exit 0 ;; esac
name=cloud-assistant-agent

# /etc/cloud-assistant comes with the package, closed to others like these.
for folder in /var/lib/cloud-assistant /var/log/cloud-assistant; do
  if [ ! -d "$folder" ]; then mkdir -p "$folder" && chmod 0700 "$folder"; fi
done

# The running agent goes on with the version that it was started from; the next start takes this one.
ln -sfn "versions/@VERSION@" /opt/cloud-assistant/current.new
mv -fT /opt/cloud-assistant/current.new /opt/cloud-assistant/current

# An upgrade leaves it to the machine whether the agent is a service: somebody may have taken it away. Debian names the
# version that was configured last, also when that was removed since, which then has left a note.
note=/var/lib/cloud-assistant/removed
is_first=no
case "${1:-}:${2:-}" in configure: | 1:) is_first=yes ;; esac
if [ -e $note ]; then is_first=yes && rm -f $note; fi

# Started only where there are credentials: registration, or the file from `assist instance add`, brings them.
if [ -f /etc/cloud-assistant/config.toml ]; then has_credentials=yes; else has_credentials=no; fi
if command -v systemctl >/dev/null 2>&1; then
  # Without credentials the unit's own condition keeps it from starting.
  if [ "$is_first" = yes ]; then systemctl enable $name >/dev/null 2>&1 || true; fi
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || true
    # Ends the agent alone (KillMode=process): scripts that run are taken up by the new one.
    if [ "$has_credentials" = yes ]; then
      if systemctl --quiet is-enabled $name 2>/dev/null; then systemctl restart $name || true
      else systemctl try-restart $name || true; fi
    fi
  fi
# `assist-agent uninstall` took the script away, and dpkg respects that: the agent is no service of this machine.
elif [ -e /etc/init.d/$name ]; then
  if command -v update-rc.d >/dev/null 2>&1; then update-rc.d $name defaults >/dev/null
  elif [ "$is_first" = yes ] && command -v chkconfig >/dev/null 2>&1; then chkconfig --add $name; fi
  if [ "$has_credentials" = yes ]; then
    if command -v invoke-rc.d >/dev/null 2>&1; then invoke-rc.d $name restart || true
    else /etc/init.d/$name restart || true; fi
  fi
fi
if [ "$has_credentials" = no ]; then
  echo "$name is installed and not started: put this machine's credentials into /etc/cloud-assistant/config.toml" \
    "(on the control side: assist instance add i-… --credentials FILE), then: assist-agent install"
fi
