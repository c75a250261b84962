#!/sbin/openrc-run
# shellcheck shell=sh disable=SC2016,SC2034
# OpenRC reads these; its supervise-daemon starts the agent again whenever it ends.

name="@DESCRIPTION@"
description="Runs commands of Cloud Assistant on this machine"
supervisor=supervise-daemon
command=@PROGRAM@
config=@CONFIG@
# openrc-run evaluates this once more.
command_args='run --config "$config"'
respawn_delay=@RESTART_SECONDS@
respawn_max=0
# The agent alone is ended; running scripts go on and the next agent takes them up.
retry="TERM/@STOP_SECONDS@"
rc_cgroup_cleanup=no
required_files="$config"
output_log="/dev/null"
error_log="/dev/null"

depend() {
  need net
  use dns
  after firewall ntp-client chronyd
}

start_pre() {
  checkpath --directory --mode 0700 @HOME@ @LOG_FOLDER@
  @EXPORTS@
  if [ -r @ENVIRONMENT_FILE@ ]; then
    set -a
    # shellcheck source=/dev/null
    . @ENVIRONMENT_FILE@
    set +a
  fi
}
