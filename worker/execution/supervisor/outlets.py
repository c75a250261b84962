"""Where output goes while the script runs: to a viewer as it comes, and to disk so that a crash loses little."""

from ..channel import Channel, Kind
from ..output.kept_output import KeptOutput
from ..record import OUTPUT_FILE, replace_file
from .clocks import RunClock

#: Ten live events a second are all that a person can follow.
_LIVE_SECONDS = 0.1
#: What a viewer gets at once; more than this in a tenth of a second is skipped, newest first.
_LIVE_BYTES = 8 * 1024
_SAVE_SECONDS = 0.5
#: Saving may take at most this share of the time, however large the kept output or slow the disk.
_SAVE_SHARE = 0.05


class Outlets:
    """Live events and saved copies of one script's output; neither ever holds up the reading of it."""

    def __init__(self, kept: KeptOutput, folder: str, clock: RunClock) -> None:
        self._kept = kept
        self._clock = clock
        self._path = f"{folder}/{OUTPUT_FILE}"
        self._sent_bytes = 0
        self._saved_bytes = 0
        self._send_at: float | None = None
        self._save_at: float | None = None
        self._not_before = 0.0
        self.is_saved = False

    def note_output(self, now: float) -> None:
        """Make the next event and copy due, unless they already are."""
        if self._send_at is None:
            self._send_at = now + _LIVE_SECONDS
        if self._save_at is None:
            self._save_at = max(now + _SAVE_SECONDS, self._not_before)

    def due_at(self) -> float | None:
        """Return when ``serve`` has something to do."""
        if self._send_at is None or self._save_at is None:
            return self._send_at or self._save_at
        return min(self._send_at, self._save_at)

    def serve(self, now: float, channel: Channel | None) -> None:
        """Send and save what is due."""
        if self._send_at is not None and now >= self._send_at:
            self._send_at = None
            if channel is not None:
                self._send(now, channel)
        if self._save_at is not None and now >= self._save_at:
            self._save_at = None
            self._save(now)

    def _send(self, now: float, channel: Channel) -> None:
        chunk = self._kept.newest_after(self._sent_bytes, _LIVE_BYTES)
        if not chunk.frames:
            return
        try:
            channel.send(Kind.OUTPUT, chunk.to_bytes(), wait=False)
        except BlockingIOError:
            # The agent is busy: it gets the newest later, and the gap is counted in that event.
            self._send_at = now + _LIVE_SECONDS
            return
        except OSError:
            return
        self._sent_bytes = chunk.end_bytes

    def _save(self, now: float) -> None:
        if self._kept.total_bytes == self._saved_bytes:
            return
        begun_at = self._clock.elapsed_seconds()
        try:
            replace_file(self._path, self._kept.to_bytes())
        except OSError:
            # A full disk, most likely. The script matters more than this copy; the next output tries again.
            return
        self.is_saved = True
        self._saved_bytes = self._kept.total_bytes
        self._not_before = now + (self._clock.elapsed_seconds() - begun_at) / _SAVE_SHARE
