"""Every Redis key name, and nothing else.

All that concerns one instance lies in one branch, ``ca:i:{ID}:…``: the braces make it one hash slot, and one ACL
pattern covers it. The agent of that instance may reach its branch and no other. The control side owns the rest. Two
more, ``_kombu.binding.celeryev`` and ``_kombu.binding_permanent.celeryev``, are kombu's own, for Flower's events.

==============================  ======  ===================================  =================================
key                             type    written by                           lives
==============================  ======  ===================================  =================================
ca:i:{ID}:queue                 list    dispatch pushes, agent pops          while messages wait
ca:i:{ID}:exec:<execution>      hash    dispatch creates, agent advances     history retention
ca:i:{ID}:open                  zset    dispatch, agent, sweeper             members until final
ca:i:{ID}:history               zset    dispatch                             history retention; all of it once let go
ca:i:{ID}:out:<execution>       stream  agent                                five minutes after the end
ca:i:{ID}:info                  hash    agent                                heartbeat_ttl_seconds
ca:i:{ID}:control               list    producer, beat; agent pops           24 h after the last stop
ca:i:{ID}:profile               hash    control side; agent only reads       until deregistered
ca:i:{ID}:boot                  hash    producer; agent reads                boot-bound invocations
ca:i:{ID}:quarantine            hash    agent sets, control side clears      until released
ca:i:{ID}:refusals              stream  agent; control side reads            bounded by count
ca:i:{ID}:keys                  string  control side; agent only reads       until deregistered
ca:done:<token>                 channel agent and control side publish       –
ca:payload:<token>              string  dispatch; agents GET by exact name   until the last deadline; timed: history
ca:command:<id>                 hash    producer                             until deleted
ca:command:<id>:open            set     dispatch, settle                     members while unfinished
ca:command:<id>:invocations     zset    dispatch                             members for history retention
ca:commands                     zset    producer                             –
ca:invocation:<id>              hash    dispatch, settle                     history retention
ca:invocation:<id>:targets      list    dispatch                             history retention
ca:invocation:<id>:followers    hash    beat                                 31 days after the last change
ca:files                        zset    dispatch                             members for history retention
ca:invocations                  zset    dispatch                             members for history retention
ca:invocations:open             zset    dispatch, settle                     members while unfinished
ca:invocations:timed            zset    dispatch                             members for history retention
ca:deadlines                    zset    dispatch, stop, sweeper              members until final
ca:instances                    zset    registration                         members until deregistered
ca:tag:<kind>:<key>=<value>     set     tagging                              members until untagged
ca:tagkey:<kind>:<key>          set     tagging                              members until untagged
ca:access-keys                  hash    producer                             until deleted
ca:token:<scope>:<digest>       string  producer                             24 h (client tokens)
ca:key-ids                      hash    control side                         members until deregistered
ca:master-keys                  hash    control side                         –
ca:credentials                  hash    control side                         members until deregistered
ca:audit                        stream  control side                         bounded by count
ca:audit:head                   hash    control side                         –
ca:audit:folded                 hash    control side                         members until deregistered
ca:activation:<id>              hash    control side                         until deleted
ca:activation:<id>:machines     hash    registration                         until deleted; members until deregistered
ca:activations                  zset    control side                         members until deleted
ca:rate:<what>:<who>            string  gateway                              one window
ca:nonce:<digest>               string  gateway                              31 min (used nonces)
ca:packages                     hash    producer                             until deleted
ca:rollouts                     hash    producer                             the last twenty
ca:rollout:<id>                 hash    producer, beat                       as long as its roll-out
ca:rollout:<id>:members         hash    beat                                 as long as its roll-out
ca:timed:due                    zset    producer, beat                       members until ended
ca:timed:<id>                   hash    producer, beat                       history retention
ca:timed:<id>:latest            hash    beat                                 history retention
ca:timed:<id>:stopped           set     producer                             history retention
ca:timed:boot                   zset    producer, beat                       members until ended
ca:timed:dispatching            zset    beat                                 members until all targets have a row
ca:timed:waiting                zset    dispatch, beat                       members until released
ca:firing:<id>                  zset    beat                                 members for history retention
ca:firing:<id>:<due>            hash    beat                                 history retention
ca:firing:<id>:<due>:line       list    beat                                 31 days after the last target, or with it
ca:firing:<id>:<due>:followers  hash    beat                                 31 days after the last change, or with it
ca:beat:turn:<work>             string  beat                                 seconds: who sweeps now
ca:timed:changed                channel producer and beat publish            –
ca:never                        –       nobody                               never
==============================  ======  ===================================  =================================
"""

PREFIX = "ca:"

COMMANDS = "ca:commands"
INVOCATIONS = "ca:invocations"
#: Deliveries of files; they are no part of the invocations listed.
FILES = "ca:files"
INVOCATIONS_OPEN = "ca:invocations:open"
INVOCATIONS_TIMED = "ca:invocations:timed"
DEADLINES = "ca:deadlines"
INSTANCES = "ca:instances"
#: Which key each instance holds, where it is not the first of the current master key.
KEY_IDS = "ca:key-ids"
#: Fingerprints of the master keys in use, by name: two programs with different ones notice it here.
MASTER_KEYS = "ca:master-keys"
#: What is needed to make an instance's Redis user anew: never a password, only its digest.
CREDENTIALS = "ca:credentials"
AUDIT = "ca:audit"
AUDIT_HEAD = "ca:audit:head"
#: How far each instance's own refusals were taken over into the audit.
AUDIT_FOLDED = "ca:audit:folded"
ACCESS_KEYS = "ca:access-keys"
ACTIVATIONS = "ca:activations"
#: What publishers signed and the file store holds: ``<name>/<version>/<os>/<arch>`` -> the signature.
PACKAGES = "ca:packages"
#: Roll-outs of versions of the agent, by id: what was asked for, sealed.
ROLLOUTS = "ca:rollouts"
TIMED_DUE = "ca:timed:due"
TIMED_CHANGED_CHANNEL = "ca:timed:changed"
#: Invocations bound to the start of machines, while they go on.
TIMED_BOOT = "ca:timed:boot"
#: ``<invocation id> <due ms>`` of firings whose targets do not all have a row yet, scored by the dispatcher's lease.
TIMED_DISPATCHING = "ca:timed:dispatching"
#: Executions that wait for their moment or for the one before them, scored by when to look at them.
TIMED_WAITING = "ca:timed:waiting"
#: There is no such key: whoever writes it only where it is learns whether Redis takes writes, and changes nothing.
NEVER_THERE = "ca:never"


def _plain(given: str) -> str:
    """An id as somebody has given it, so that it names no key beneath the one of another: nothing is found then."""
    return given.replace(":", "%3A")


def instance_branch(instance_id: str) -> str:
    """The prefix of all that belongs to one instance; the ACL of its agent is this plus ``*``."""
    return f"ca:i:{{{instance_id}}}:"


def queue(instance_id: str) -> str:
    """The Celery queue of one instance: a kombu list."""
    return f"ca:i:{{{instance_id}}}:queue"


def execution(instance_id: str, execution_id: str) -> str:
    """The ledger row of one execution."""
    return f"ca:i:{{{instance_id}}}:exec:{execution_id}"


def open_executions(instance_id: str) -> str:
    """Unfinished executions of one instance, scored by deadline."""
    return f"ca:i:{{{instance_id}}}:open"


def instance_history(instance_id: str) -> str:
    """All executions of one instance, scored by creation time."""
    return f"ca:i:{{{instance_id}}}:history"


def live_output(instance_id: str, execution_id: str) -> str:
    """Output of a running execution, in pieces with their offsets."""
    return f"ca:i:{{{instance_id}}}:out:{execution_id}"


def info(instance_id: str) -> str:
    """What the agent says of itself at each heartbeat."""
    return f"ca:i:{{{instance_id}}}:info"


def control(instance_id: str) -> str:
    """Stop requests and other control messages for the agent."""
    return f"ca:i:{{{instance_id}}}:control"


def profile(instance_id: str) -> str:
    """What the control side knows of an instance: name, tags, registration."""
    return f"ca:i:{{{instance_id}}}:profile"


def boot_bound(instance_id: str) -> str:
    """Invocations that run at the next, or at every, start of the machine."""
    return f"ca:i:{{{instance_id}}}:boot"


def quarantine(instance_id: str) -> str:
    """Why an instance gets no work; the agent may set it and never clear it."""
    return f"ca:i:{{{instance_id}}}:quarantine"


def refusals(instance_id: str) -> str:
    """What the agent refused to run, and why, until the audit has taken it over."""
    return f"ca:i:{{{instance_id}}}:refusals"


def key_bundle(instance_id: str) -> str:
    """New keys for an instance, encrypted with one that it holds."""
    return f"ca:i:{{{instance_id}}}:keys"


def done_channel(token: str) -> str:
    """Where the end of executions is announced to those who know the token."""
    return f"ca:done:{token}"


def payload(token: str) -> str:
    """The work order shared by all targets of an invocation."""
    return f"ca:payload:{token}"


def command(command_id: str) -> str:
    """One stored command."""
    return f"ca:command:{_plain(command_id)}"


def command_open(command_id: str) -> str:
    """Unfinished invocations of a command."""
    return f"ca:command:{command_id}:open"


def command_invocations(command_id: str) -> str:
    """Invocations of a command, scored by creation time."""
    return f"ca:command:{command_id}:invocations"


def invocation(invoke_id: str) -> str:
    """One invocation."""
    return f"ca:invocation:{_plain(invoke_id)}"


def invocation_targets(invoke_id: str) -> str:
    """The instances of an invocation, in the order given."""
    return f"ca:invocation:{invoke_id}:targets"


def invocation_followers(invoke_id: str) -> str:
    """Who waits for whom where that has changed since the dispatch: an instance, and the one behind it or ``""``."""
    return f"ca:invocation:{invoke_id}:followers"


def tag(kind: str, key: str, value: str) -> str:
    """Ids of one kind (instance, command, invocation …) that carry a tag."""
    return f"ca:tag:{kind}:{key}={value}"


def tag_key(kind: str, key: str) -> str:
    """Ids of one kind that carry a tag with this key, whatever its value."""
    return f"ca:tagkey:{kind}:{key}"


def client_token(scope: str, digest: str) -> str:
    """The answer once given to a ClientToken."""
    return f"ca:token:{scope}:{digest}"


def activation(activation_id: str) -> str:
    """One activation and how often it was used."""
    return f"ca:activation:{_plain(activation_id)}"


def activation_machines(activation_id: str) -> str:
    """Which machine has which use of an activation."""
    return f"ca:activation:{activation_id}:machines"


def rate(what: str, who: str) -> str:
    """How often somebody did something in the present window."""
    return f"ca:rate:{what}:{who}"


def used_nonce(digest: str) -> str:
    """The mark of one accepted request to the gateway."""
    return f"ca:nonce:{digest}"


def timed(invoke_id: str) -> str:
    """The schedule and its progress of one timed invocation."""
    return f"ca:timed:{_plain(invoke_id)}"


def timed_latest(invoke_id: str) -> str:
    """The due time of the latest execution of each target."""
    return f"ca:timed:{invoke_id}:latest"


def timed_stopped(invoke_id: str) -> str:
    """Targets of a timed invocation that get no further execution."""
    return f"ca:timed:{invoke_id}:stopped"


def rollout(rollout_id: str) -> str:
    """What came of a roll-out."""
    return f"ca:rollout:{rollout_id}"


def rollout_members(rollout_id: str) -> str:
    """How far each instance of a roll-out is."""
    return f"ca:rollout:{rollout_id}:members"


def firings(invoke_id: str) -> str:
    """Due times of a timed invocation that have a row."""
    return f"ca:firing:{invoke_id}"


def firing(invoke_id: str, due_ms: int) -> str:
    """What was decided about one due time."""
    return f"ca:firing:{invoke_id}:{due_ms}"


def firing_line(invoke_id: str, due_ms: int) -> str:
    """The instances with an execution of a firing that does not run everywhere at once, in the order of its lines."""
    return f"ca:firing:{invoke_id}:{due_ms}:line"


def firing_followers(invoke_id: str, due_ms: int) -> str:
    """As ``invocation_followers``, for one firing."""
    return f"ca:firing:{invoke_id}:{due_ms}:followers"


def beat_turn(work: str, *, keyless: bool = False) -> str:
    """Which beat does a repeated piece of work at the moment: a saving, nothing relies on it.

    Work that signs or seals has a turn of its own for beats without the master key, who can do only a part of it.
    """
    return f"ca:beat:turn:{work}{':keyless' if keyless else ''}"
