"""Scripts that leave traces where nothing of ours writes, and the reading of those traces."""

from dataclasses import dataclass
from pathlib import Path

from faults.checker import Traces


@dataclass(frozen=True)
class Script:
    """What a script does between its two traces; it copies to ``$W`` whatever it prints, before it prints it."""

    name: str
    body: str
    exit_code: int = 0
    timeout_seconds: int = 60
    is_to_time_out: bool = False


QUICK = Script("quick", 'echo "quick $CA_EXECUTION_ID" >> "$W"; cat "$W"')
FAILING = Script("failing", 'echo "about to fail" >> "$W"; cat "$W"', exit_code=3)
#: About 109 kB: several times what is kept.
CHATTY = Script("chatty", 'seq 1 20000 >> "$W"; cat "$W"')
BINARY = Script("binary", 'head -c 5000 /dev/urandom >> "$W"; cat "$W"')
LONG = Script(
    "long", 'for n in 1 2 3 4 5 6 7 8; do echo "line $n" >> "$W"; echo "line $n"; sleep 0.25; done', exit_code=5
)
#: Long enough to be seen to run beside another.
SLOW = Script("slow", 'echo "slow" >> "$W"; cat "$W"; sleep 0.4')
#: Ends by itself, so that a defect leaves nothing behind for ever.
ENDLESS = Script("endless", 'for n in $(seq 1 200); do echo "line $n" >> "$W"; echo "line $n"; sleep 0.2; done')
TIMED_OUT = Script("timed out", ENDLESS.body, timeout_seconds=1, is_to_time_out=True)
#: Prints nothing, so that it outlives whoever would read it, if nobody ends it.
SILENT = Script("silent", 'for n in $(seq 1 100); do touch "$E"; sleep 0.05; done')
#: Prints two lines with a wait for the file ``go`` between them.
GATED = Script(
    "gated",
    'echo one >> "$W"; echo one; n=0; while [ ! -e "$GO" ] && [ $n -lt 1200 ]; do sleep 0.05; n=$((n+1)); done;'
    ' echo two >> "$W"; echo two',
    exit_code=7,
)


class TraceFolder:
    """Where the scripts of one run leave their traces."""

    def __init__(self, folder: Path) -> None:
        self._effects = folder / "effects"
        self._written = folder / "written"
        self._turns = folder / "turns"
        #: Its existence lets ``GATED`` scripts go on.
        self.go = folder / "go"
        for one in (self._effects, self._written, self._turns):
            one.mkdir(parents=True, exist_ok=True)

    def text(self, script: Script, *, takes_turns: bool = False) -> str:
        """The script as it is sent; with ``takes_turns`` those of one invocation write down in which order they ran."""
        begin, end = (
            [f'echo "{word} $CA_EXECUTION_ID" >> "{self._turns}/$CA_INVOKE_ID"'] if takes_turns else []
            for word in ("begin", "end")
        )
        return "\n".join(
            [
                f'E="{self._effects}/$CA_EXECUTION_ID" W="{self._written}/$CA_EXECUTION_ID" GO="{self.go}"',
                *begin,
                'echo start >> "$E"',
                script.body,
                'echo end >> "$E"',
                *end,
                f"exit {script.exit_code}",
            ]
        )

    def turns(self, invoke_id: str) -> list[tuple[str, str]]:
        """In which order the executions of an invocation have begun and ended."""
        lines = _content(self._turns / invoke_id).decode().splitlines()
        return [(word, execution) for word, _, execution in (line.partition(" ") for line in lines)]

    def of(self, execution_id: str) -> Traces:
        """What one execution has left so far."""
        lines = _content(self._effects / execution_id).splitlines()
        return Traces(
            start_count=lines.count(b"start"),
            end_count=lines.count(b"end"),
            written=_content(self._written / execution_id),
            last_ms=max(_changed_ms(folder / execution_id) for folder in (self._effects, self._written)),
        )

    def remove(self, execution_id: str) -> None:
        """Remove what one execution has left."""
        for folder in (self._effects, self._written):
            (folder / execution_id).unlink(missing_ok=True)

    def all(self) -> dict[str, Traces]:
        """Traces by execution, also of executions that nobody knows of."""
        return {path.name: self.of(path.name) for path in self._effects.iterdir()}


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _changed_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000 if path.exists() else 0
