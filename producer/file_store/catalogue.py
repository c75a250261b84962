"""Which versions and packages there are, for which systems, and what their publishers signed."""

from dataclasses import dataclass

from ...broker_config import keys
from ...broker_config.errors import NotFound
from ...broker_config.publisher_signing import ANY, Signed, parse
from ...broker_config.redis_client import Redis
from ...broker_config.version_order import version_order
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
        """Enter an archive; another one under the same name, version and system is replaced."""
        entry = CatalogueEntry(signed)
        self._redis.call("HSET", keys.PACKAGES, entry.field, signed.text)
        return entry

    def list(self, name: str = "") -> list[CatalogueEntry]:
        """List entries, of one name or of all, the newest version first."""
        stored = self._redis.call("HGETALL", keys.PACKAGES)
        entries = [CatalogueEntry(parse(text.decode())) for text in stored[1::2]]
        wanted = [one for one in entries if not name or one.name == name]
        wanted.sort(key=lambda one: (one.signed.statement.os, one.signed.statement.arch))
        wanted.sort(key=lambda one: version_order(one.version), reverse=True)
        wanted.sort(key=lambda one: one.name)
        return wanted

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

    def delete(self, entry: CatalogueEntry) -> bool:
        """Remove an entry; answers whether its file is needed by no other entry now."""
        self._redis.call("HDEL", keys.PACKAGES, entry.field)
        return all(one.signed.statement.sha256 != entry.signed.statement.sha256 for one in self.list())
