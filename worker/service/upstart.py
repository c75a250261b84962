"""The configuration for upstart (Ubuntu 10 to 14, CentOS 6)."""

from .commands import Say, attempt, run, unless
from .plan import SERVICE_NAME, ServicePlan

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


def _is_wanted() -> bool:
    return attempt(("initctl", "status", SERVICE_NAME)).said.startswith(f"{SERVICE_NAME} start/")


def restart(say: Say) -> None:
    """End the agent and start it again; one that does not run is started.

    Raises:
        Refused: upstart does not do it.
    """
    run(("initctl", "restart" if _is_wanted() else "start", SERVICE_NAME), say)


start = unless(_is_wanted, "upstart runs it already", ("initctl", "start", SERVICE_NAME))
stop = unless(lambda: not _is_wanted(), "upstart does not run it", ("initctl", "stop", SERVICE_NAME))


def configuration(plan: ServicePlan) -> str:
    """The file for /etc/init."""
    return plan.fill(_TEMPLATE)
