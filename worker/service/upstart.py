"""The configuration for upstart (Ubuntu 10 to 14, CentOS 6)."""

from .plan import ServicePlan

_TEMPLATE = """\
description "@DESCRIPTION@"
# Not on a network device: CentOS has no such event. The agent waits for its network by itself.
start on runlevel [2345]
stop on runlevel [!2345]
respawn
respawn limit unlimited
# 2: a setting is wrong, which no further start would fix.
normal exit 0 2
kill timeout @STOP_SECONDS@
# upstart signals the agent's process group; supervisors and scripts have sessions of their own and go on.

pre-start script
  test -e @CONFIG@ || { stop; exit 0; }
  mkdir -p -m 0700 @HOME@ @LOG_FOLDER@
end script

script
  @EXPORTS@
  if [ -r @ENVIRONMENT_FILE@ ]; then set -a; . @ENVIRONMENT_FILE@; set +a; fi
  exec @PROGRAM@ run --config @CONFIG@
end script

post-stop script
  # upstart knows no pause between two starts; who asks for the end does not wait.
  case "$(initctl status "$UPSTART_JOB")" in *" stop/"*) ;; *) sleep @RESTART_SECONDS@ ;; esac
end script
"""


def configuration(plan: ServicePlan) -> str:
    """The file for /etc/init."""
    return plan.fill(_TEMPLATE)
