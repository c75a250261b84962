"""Which versions and packages there are, for which systems, and what their publishers signed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...broker_config import keys
from ...broker_config.errors import NotFound, RecordUnreadable
from ...broker_config.programs.printable import clean
from ...broker_config.redis.client import Redis
from ...broker_config.releases.publisher_signing import AGENT_NAME, ANY, Signed, parse
from ...broker_config.releases.version_order import version_order
from ...broker_config.unreadable import read_or_tell
from ..some_of import some_of

LATEST = "latest"
_NOTHING_PUBLISHED = "nothing of that name is published; see `assist package list`"


@dataclass(frozen=True)
class CatalogueEntry:
    """One archive that can be downloaded."""

    signed: Signed

    @property
    def name(self) -> str:
        """The name of the package, or of the agent's own archives."""
        return self.signed.statement.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.signed.statement.version

    @property
    def field(self) -> str:
        """What it is called in the catalogue."""
        statement = self.signed.statement
        return f"{statement.name}/{statement.version}/{statement.os}/{statement.arch}"


class Catalogue:
    """The catalogue of one installation."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, signed: Signed) -> CatalogueEntry:
        """Enter an archive; another one under the same name, version and system is replaced, its file left alone."""
        entry = CatalogueEntry(signed)
        self._redis.call("HSET", keys.PACKAGES, entry.field, signed.text)
        return entry

    def list(self, name: str = "") -> list[CatalogueEntry]:
        """List entries, of one name or of all, the newest version first, without those that cannot be read."""
        entries = [one for _, one in self._load() if isinstance(one, CatalogueEntry)]
        wanted = [one for one in entries if not name or one.name == name]
        wanted.sort(key=lambda one: (one.signed.statement.os, one.signed.statement.arch))
        wanted.sort(key=lambda one: version_order(one.version), reverse=True)
        wanted.sort(key=lambda one: one.name)
        return wanted

    def unreadable(self, name: str = "") -> dict[str, RecordUnreadable]:
        """What cannot be read, by what it is called in the catalogue, of one name or of all."""
        return {
            field: one
            for field, one in self._load()
            if isinstance(one, RecordUnreadable) and name in ("", field.partition("/")[0])
        }

    def _load(self) -> Sequence[tuple[str, CatalogueEntry | RecordUnreadable]]:
        stored = self._redis.call("HGETALL", keys.PACKAGES)
        fields = [field.decode("utf-8", "replace") for field in stored[::2]]
        return [(field, _read_or_tell(field, text)) for field, text in zip(fields, stored[1::2], strict=True)]

    def find(self, name: str, version: str, *, os: str, arch: str) -> CatalogueEntry:
        """Find what to install on a system; the version may be ``latest``.

        Raises:
            NotFound: there is no such thing for that system (``PackageNotFound``).
        """
        same_name = self.list(name)
        fitting = [
            one
            for one in same_name
            if one.signed.statement.os in (os, ANY)
            and one.signed.statement.arch in (arch, ANY)
            and version in (one.version, LATEST)
        ]
        if not fitting:
            there = f"published: {some_of([one.field for one in same_name])}" if same_name else _NOTHING_PUBLISHED
            raise NotFound(f"there is no {name} {version} for {os}/{arch}; {there}", code="PackageNotFound")
        # What was made for this very system comes before what runs anywhere.
        best = version_order(fitting[0].version)
        newest = [one for one in fitting if version_order(one.version) == best]
        return min(newest, key=lambda one: (one.signed.statement.os == ANY, one.signed.statement.arch == ANY))

    def needs(self, sha256: str, *, besides: Collection[str]) -> bool:
        """Whether an entry needs a file, or may, since it cannot be read; those called ``besides`` do not count."""
        return any(
            isinstance(one, RecordUnreadable) or one.signed.statement.sha256 == sha256
            for field, one in self._load()
            if field not in besides
        )

    def delete(self, fields: Sequence[str]) -> None:
        """Remove entries, by what they are called."""
        self._redis.call("HDEL", keys.PACKAGES, *fields)


def _read_or_tell(field: str, text: bytes) -> CatalogueEntry | RecordUnreadable:
    name, _, rest = field.partition("/")
    verb, what = ("agent-version", "") if name == AGENT_NAME else ("package", f"{clean(name)} ")
    withdrawal = f"assist {verb} withdraw {what}{clean(rest.partition('/')[0])}"
    return read_or_tell(
        f"the catalogue's {clean(field)}",
        f"Nobody can fetch it; publish it again, or withdraw it: {withdrawal}",
        lambda: CatalogueEntry(parse(text.decode())),
    )
