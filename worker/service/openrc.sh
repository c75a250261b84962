#!/sbin/openrc-run
# shellcheck shell=sh disable=SC2016,SC2034
# OpenRC reads these; its supervise-daemon starts the agent again whenever it ends.

name="@DESCRIPTION@"
description="Runs commands of Cloud Assistant on this machine"
supervisor=supervise-daemon
program=@PROGRAM@
config=@CONFIG@
# What the agent says before it has its own log; it keeps this file small.
service_log=@LOG_FOLDER@/service.log
# openrc-run evaluates these once more.
command='"$program"'
command_args='run --config "$config"'
respawn_delay=@RESTART_SECONDS@
respawn_max=0
# The agent alone is ended, by force if it hangs; running scripts go on and the next agent takes them up.
retry="TERM/@STOP_SECONDS@/KILL/5"
rc_cgroup_cleanup=no
required_files="$config"
output_log="/dev/null"
error_log='"$service_log"'

depend() {
  # No more than the order: the agent waits for its network by itself, and not every machine has a service that is "net".
  use net dns
  after firewall ntp-client chronyd
}

start_pre() {
  checkpath --directory --mode 0700 @HOME@ @LOG_FOLDER@
  ASSIST_AGENT_SERVICE_LOG=$service_log && export ASSIST_AGENT_SERVICE_LOG
  @EXPORTS@
  if [ -r @ENVIRONMENT_FILE@ ]; then
    set -a
    # shellcheck source=/dev/null
    . @ENVIRONMENT_FILE@
    set +a
  fi
  # 2: a setting is wrong, which no further start would fix; said here, since it would be tried for ever.
  "$program" status --config "$config" > /dev/null || [ $? -ne 2 ]
}
