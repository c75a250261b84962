#!/bin/sh
### BEGIN INIT INFO
# Provides:          @NAME@
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Should-Start:      $time $named
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: @DESCRIPTION@
# Description:       Runs commands of Cloud Assistant on this machine. Scripts that run go on when it stops.
### END INIT INFO
# chkconfig: 2345 95 05
# description: @DESCRIPTION@

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
program=@PROGRAM@
config=@CONFIG@
home=@HOME@
log_folder=@LOG_FOLDER@
# What the agent says before it has its own log; it keeps this file small.
service_log=$log_folder/service.log
pid_file=${ASSIST_AGENT_PID_FILE:-/var/run/@NAME@.pid}
agent_pid_file=${pid_file%.pid}.child.pid

# The process that starts the agent again whenever it ends; prints its id while it lives.
living_keeper() {
  [ -s "$pid_file" ] || return 1
  read -r keeper < "$pid_file" || return 1
  kill -0 "$keeper" 2>/dev/null || return 1
  # After a reboot the number may be somebody else's.
  if [ -r "/proc/$keeper/cmdline" ]; then tr '\0' ' ' < "/proc/$keeper/cmdline" | grep -q ' keep' || return 1; fi
  echo "$keeper"
}

# Be the keeper. The agent gets the signal, its scripts do not.
keep() {
  # Of two that are started at once one stays: a name that is taken takes no link.
  echo $$ > "$pid_file.$$"
  if ! ln "$pid_file.$$" "$pid_file" 2>/dev/null; then
    if living_keeper >/dev/null; then rm -f "$pid_file.$$"; exit 0; fi
    # It is of one that was killed. Who else finds that now puts its own there too, and the last one stays.
    mv -f "$pid_file.$$" "$pid_file"
    sleep 1
    [ "$(living_keeper)" = $$ ] || exit 0
  fi
  rm -f "$pid_file.$$"
  agent=
  leave() {
    trap '' TERM INT
    [ -z "$agent" ] || { kill -TERM "$agent" 2>/dev/null; wait "$agent"; }
    exit 0
  }
  trap leave TERM INT
  ASSIST_AGENT_SERVICE_LOG=$service_log && export ASSIST_AGENT_SERVICE_LOG
  @EXPORTS@
  if [ -r @ENVIRONMENT_FILE@ ]; then
    set -a
    # shellcheck source=/dev/null
    . @ENVIRONMENT_FILE@
    set +a
  fi
  while :; do
    "$program" run --config "$config" &
    agent=$!
    echo "$agent" > "$agent_pid_file"
    wait "$agent"
    # 2: a setting is wrong, which no further start would fix.
    [ $? -ne 2 ] || exit 2
    agent=
    sleep @RESTART_SECONDS@ &
    wait $!
  done
}

start() {
  if keeper=$(living_keeper); then echo "@NAME@ runs already (pid $keeper)"; return 0; fi
  # The script outlives its package until that is purged.
  if [ ! -x "$program" ]; then echo "@NAME@ is not started: there is no $program"; return 0; fi
  # Without credentials there is nobody to be; registration makes this file.
  if [ ! -e "$config" ]; then echo "@NAME@ is not started: there is no $config"; return 0; fi
  mkdir -p "$home" "$log_folder" && chmod 0700 "$home" "$log_folder" || return 1
  detached='nohup'
  if command -v setsid >/dev/null 2>&1; then detached='setsid'; fi
  # As at boot, whatever the shell that asks has in its environment: settings of the machine are in @ENVIRONMENT_FILE@.
  $detached env -i PATH="$PATH" ASSIST_AGENT_PID_FILE="$pid_file" "$0" keep < /dev/null >> "$service_log" 2>&1 &
  waited=0
  until living_keeper >/dev/null; do
    waited=$((waited + 1))
    if [ "$waited" -gt 5 ]; then echo "@NAME@ does not start; see $service_log"; return 1; fi
    sleep 1
  done
  echo "@NAME@ started"
}

stop() {
  if ! keeper=$(living_keeper); then rm -f "$pid_file" "$agent_pid_file"; echo "@NAME@ does not run"; return 0; fi
  kill -TERM "$keeper"
  waited=0
  while kill -0 "$keeper" 2>/dev/null; do
    waited=$((waited + 1))
    # An agent that hangs is ended by force; its scripts go on all the same. While its keeper waits the number is its own.
    if [ "$waited" -eq @STOP_SECONDS@ ] && read -r agent < "$agent_pid_file"; then kill -KILL "$agent" 2>/dev/null; fi
    if [ "$waited" -gt $((@STOP_SECONDS@ + 5)) ]; then echo "@NAME@ (pid $keeper) does not end"; return 1; fi
    sleep 1
  done
  rm -f "$pid_file" "$agent_pid_file"
  echo "@NAME@ stopped; scripts that run go on"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  restart | force-reload) stop && start ;;
  try-restart | condrestart) if living_keeper >/dev/null; then stop && start; fi ;;
  status)
    if keeper=$(living_keeper); then echo "@NAME@ runs (pid $keeper)"; else echo "@NAME@ does not run"; exit 3; fi ;;
  keep) keep ;;
  *) echo "usage: $0 {start|stop|restart|try-restart|status}" >&2; exit 2 ;;
esac
