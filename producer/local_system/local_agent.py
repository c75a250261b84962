"""Make this machine's own agent ready to start: its home, and its key."""

from pathlib import Path

from ...broker_config.settings import Loaded, environment_name
from ...broker_config.signing import MasterKeys, write_master_keys
from .programs import handed_down

_INSTANCE_KEY = "instance-key.json"


def prepare_local_agent(
    loaded: Loaded, home: Path, *, redis_url: str, instance_id: str, master: MasterKeys
) -> dict[str, str]:
    """Give the local agent its home and the keys of its instance; return the environment in which it runs.

    Redis runs by now. The keys are written at each start, so that a changed master key reaches the agent.
    """
    agent_home = home / "agents" / instance_id
    for folder in (agent_home.parent, agent_home):
        folder.mkdir(mode=0o700, exist_ok=True)
    own_keys = {name: master.instance_key(instance_id, name) for name in master.keys}
    write_master_keys(agent_home / _INSTANCE_KEY, MasterKeys(master.current, own_keys))
    environment = handed_down("agent", loaded, home=agent_home, redis_url=redis_url)
    return {**environment, environment_name("instance_id"): instance_id}
