"""Every setting: its name, type, default and one sentence of help. Nothing is read here.

Each is also an environment variable, ``CLOUD_ASSISTANT_<SECTION>_<NAME>``, but for the three that stand alone
(``CLOUD_ASSISTANT_REDIS_URL``, ``CLOUD_ASSISTANT_INSTANCE_ID``, ``CLOUD_ASSISTANT_HOME``), which have no section.
"""

from dataclasses import dataclass, field
from typing import Any

from .files.system_folders import INSTALL_FOLDER, POLICY_FILE, PUBLISHERS_FOLDER

Value = str | int | float | bool


@dataclass(frozen=True)
class Most:
    """The largest value of a setting, and what to do where more is wanted."""

    value: int
    remedy: str


def setting(default: Value, text: str, *, secret: bool = False, most: Most | None = None) -> Any:
    """Declare a setting with its help; ``secret`` values are masked when shown, above ``most`` it is refused."""
    return field(default=default, metadata={"help": text, "secret": secret, "most": most})


#: What is read of a running script at a time is bounded: see ``functions/reported.py``.
LIVE_OUTPUT_MOST = Most(256 * 1024, "the result has the whole output")
#: Half of what Redis takes as one value (512 MiB): a larger result would be offered to it for ever.
_OUTPUT_MOST = Most(256 * 1024 * 1024, "have the script write what is larger into a file")


@dataclass(frozen=True, eq=False, repr=False)
class AgentSettings:
    """The agent on an instance."""

    slots: int = setting(10, "Scripts that run at once on one instance; more wait in its queue.")
    heartbeat_seconds: float = setting(20.0, "Time between heartbeats, jittered by a fifth.")
    heartbeat_ttl_seconds: float = setting(
        75.0, "An instance without a heartbeat for this long is shown as not connected."
    )
    reconcile_seconds: float = setting(30.0, "Time between comparisons of the ledger with what the queue delivered.")
    events: bool = setting(True, "Send Celery events, so that Flower shows this agent and its executions.")
    fsync: bool = setting(True, "Force the journal of started scripts to disk before each start.")
    output_limit_bytes: int = setting(
        24 * 1024,
        "Output kept per execution, at most 256 MiB: its beginning and its end; what is "
        "dropped between them is counted.",
        most=_OUTPUT_MOST,
    )
    live_output_bytes: int = setting(
        16 * 1024,
        "Most bytes of live output published at a time, ten times a second; at most 256 KiB.",
        most=LIVE_OUTPUT_MOST,
    )
    grace_seconds: float = setting(5.0, "Time between TERM and KILL when a script is stopped or its time is up.")
    drain_seconds: float = setting(
        0.2, "How long to wait for the output of background children once a script has ended."
    )
    keep_scripts: bool = setting(False, "Keep script files after the end instead of removing them.")
    spool_limit_bytes: int = setting(
        256 * 1024 * 1024, "Disk for scripts and unreported results; oldest kept files go first."
    )
    log_limit_bytes: int = setting(20 * 1024 * 1024, "Size of one log file of the agent; five are kept.")
    log_days: float = setting(30.0, "Log files of the agent that are older than this many days are removed.")
    log_folder: str = setting(
        "", "Folder of the agent's log; default is /var/log/cloud-assistant for the system's own home, else <home>/log."
    )
    memory_limit_bytes: int = setting(
        256 * 1024 * 1024,
        "Memory of the agent itself, without its scripts; beyond it the agent starts anew "
        "while scripts go on. 0: no limit.",
    )
    cpu_limit_percent: int = setting(
        50, "Share of one processor that the agent itself may use for minutes on end before it steps back. 0: no limit."
    )
    clock_tolerance_seconds: float = setting(
        300.0, "How far this machine's clock may be off when an envelope's expiry is judged."
    )
    policy_file: str = setting(
        POLICY_FILE,
        "Local policy that the control side cannot override; this default file need not exist, another one must.",
    )
    install_folder: str = setting(
        INSTALL_FOLDER, "Where bundles of the agent are installed: versions/<version>, and the link current."
    )
    publishers_folder: str = setting(
        PUBLISHERS_FOLDER,
        "Public keys (*.pub) of the publishers whose versions and packages are installed here.",
    )
    self_update: bool = setting(True, "Upgrade the agent when the control side asks for it and a publisher signed it.")
    accept_unsigned: bool = setting(
        False,
        "Run executions that no producer signed, on an instance without a key. Insecure; reported loudly.",
    )


@dataclass(frozen=True, eq=False, repr=False)
class LimitSettings:
    """Limits of the API; the defaults are the service's own."""

    content_bytes: int = setting(24 * 1024, "Most bytes of a command's content, in its Base64 form.")
    file_bytes: int = setting(32 * 1024, "Most bytes of a file to send, in its Base64 form.")
    timeout_seconds_max: int = setting(86_400, "Longest timeout of an execution.")
    commands_count: int = setting(50_000, "Most commands in the library.")
    targets_count: int = setting(0, "Most instances in one request; 0 means no limit of ours.")
    queue_count: int = setting(
        10_000, "Most messages waiting for one instance; more are Aborted (TaskConcurrencyLimit)."
    )
    deliver_within_seconds: int = setting(60, "Default time in which an execution must be taken by its agent.")
    deliver_within_seconds_max: int = setting(
        30 * 86_400, "Longest time an execution may wait for an offline instance."
    )
    report_margin_seconds: float = setting(
        60.0, "Time after timeout and grace in which a result must arrive before it counts as lost."
    )
    history_days: float = setting(28.0, "Finished invocations are removed after this many days.")
    history_count: int = setting(100_000, "Most invocations kept; the oldest finished ones are removed first.")
    activation_hours_max: int = setting(4, "Longest life of an activation code.")
    audit_count: int = setting(
        100_000, "Most entries in the audit, about 0.5 KB each; export it to keep what is older."
    )
    strict: bool = setting(False, "Apply the service's own low ceilings: 100 targets per request, 50 per stop or file.")


@dataclass(frozen=True, eq=False, repr=False)
class BeatSettings:
    """Beat: the scheduler and the sweeper."""

    timezone: str = setting("UTC", "Zone of schedules that name none.")
    minimum_interval_seconds: int = setting(10, "Shortest time between two runs of a schedule.")
    misfire: str = setting("latest", "Due times missed while no beat ran: latest, all or skip.")
    misfire_limit_count: int = setting(10, "Most missed due times made up for when misfire is all.")
    misfire_within_seconds: int = setting(3600, "Missed due times older than this are skipped.")
    sweep_seconds: float = setting(2.0, "Time between two looks for overdue executions.")
    retention_seconds: float = setting(60.0, "Time between removals of old history.")


@dataclass(frozen=True, eq=False, repr=False)
class GatewaySettings:
    """The HTTP gateway."""

    host: str = setting("127.0.0.1", "Address to listen on.")
    port: int = setting(8177, "Port to listen on; 0 picks a free one.")
    unix_socket: str = setting("", "Path of a Unix socket to listen on instead.")
    tls_certificate: str = setting("", "Certificate file (PEM); with tls_key it turns HTTPS on.")
    tls_key: str = setting("", "Private key file (PEM).")
    ca_file: str = setting(
        "", "Certificates (PEM) by which a client program checks the gateway; '' means the system's."
    )
    threads: int = setting(16, "Requests handled at once.")
    request_bytes: int = setting(1024 * 1024, "Largest request line, and largest body.")
    region_id: str = setting("local", "The region id of this installation, for clients that ask; any is accepted.")
    registration_failures_count: int = setting(
        10,
        "How many wrong activation codes one address may send within a minute before it has to wait; 0 means no limit.",
    )
    public_url: str = setting(
        "", "Where machines reach this gateway, for the install scripts; default is what a request was sent to."
    )
    trusted_proxies: str = setting(
        "", "Proxies whose X-Forwarded-For is believed: addresses and ranges, separated by commas; `unix` for a socket."
    )
    files_folder: str = setting("", "Where versions and packages are kept; default is files in home.")
    files_bytes: int = setting(1024 * 1024 * 1024, "Largest version or package taken in.")
    agent_url: str = setting(
        "", "The gateway as agents reach it, for what they download; default is gateway.url, else where it listens."
    )
    url: str = setting("", "The gateway a client program should talk to instead of Redis.")
    access_key_id: str = setting("", "Access key id for a client program that talks to the gateway.")
    access_key_secret: str = setting("", "Secret of that access key.", secret=True)


@dataclass(frozen=True, eq=False, repr=False)
class FlowerSettings:
    """Flower, as `assist up` runs it."""

    port: int = setting(5555, "Port of Flower on loopback; 0 picks a free one.")
    enabled: bool = setting(True, "Run Flower as part of `assist up`.")


@dataclass(frozen=True, eq=False, repr=False)
class SecuritySettings:
    """Keys, and how the two sides find each other."""

    master_key_file: str = setting(
        "", "File of the producers' master key; default is master-key.json in home, if there."
    )
    publisher_key_file: str = setting(
        "", "File of the private key that versions and packages are signed with; default is publisher-key.pem in home."
    )
    instance_key: str = setting(
        "", "The key of this instance, id:hexadecimal, as `assist instance add --credentials` writes it.", secret=True
    )
    agent_redis_url: str = setting(
        "",
        "Redis as agents reach it, for the credentials they are given; default is the address this program uses.",
        secret=True,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Settings:
    """All settings of a process, read once at its edge and passed down."""

    redis_url: str = setting(
        "redis://127.0.0.1:6379/0", "Redis: redis://, rediss://, unix:// or sentinel://.", secret=True
    )
    instance_id: str = setting("", "The id of this instance (i-… or mi-…).")
    home: str = setting("", "State folder: embedded data, spool, keys.")
    agent: AgentSettings = field(default_factory=AgentSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    beat: BeatSettings = field(default_factory=BeatSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    flower: FlowerSettings = field(default_factory=FlowerSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)


SECTIONS = ("agent", "limits", "beat", "gateway", "flower", "security")
