#!/bin/sh
# shellcheck disable=SC1091,SC2016,SC2034,SC2154
# PROVIDE: cloud_assistant_agent
# REQUIRE: NETWORKING SERVERS
# KEYWORD: shutdown
#
# cloud_assistant_agent_enable="YES" in /etc/rc.conf starts it.

. /etc/rc.subr

name="cloud_assistant_agent"
rcvar="cloud_assistant_agent_enable"
load_rc_config "$name"
: "${cloud_assistant_agent_enable:=NO}"

config=@CONFIG@
required_files="$config"
pidfile="/var/run/${name}.pid"
# daemon(8) starts the agent again whenever it ends, and passes the signal on to the agent alone.
command="/usr/sbin/daemon"
program=@PROGRAM@
# rc.subr evaluates this once more.
command_args='-P "$pidfile" -R @RESTART_SECONDS@ -f "$program" run --config "$config"'
start_precmd="cloud_assistant_agent_prestart"

cloud_assistant_agent_prestart() {
  install -d -m 0700 @HOME@ @LOG_FOLDER@
  @EXPORTS@
  if [ -r @ENVIRONMENT_FILE@ ]; then
    set -a
    . @ENVIRONMENT_FILE@
    set +a
  fi
}

run_rc_command "$1"
