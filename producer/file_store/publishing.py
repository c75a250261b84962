"""Publish what a publisher signed: the archive into the file store, what it is into the catalogue."""

from pathlib import Path

from ...broker_config.errors import NotFound, Refused
from ...broker_config.redis.client import Redis
from ...broker_config.releases.publisher_keys import read_publishers
from ...broker_config.releases.publisher_signing import AGENT_NAME, Signed, parse, verify
from ...broker_config.releases.rollouts import may_be_ordered
from ...broker_config.settings_table import Settings
from .catalogue import Catalogue, CatalogueEntry
from .content_store import ContentStore

_READ_BYTES = 1024 * 1024


class Publishing:
    """The file store of this machine and the catalogue in Redis, together."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self.store = ContentStore.of(settings)
        self.catalogue = Catalogue(redis)

    def publish_file(self, archive: Path, signature: str) -> CatalogueEntry:
        """Take in an archive that lies on this machine.

        Raises:
            Refused: the archive is not the one that was signed, or not by a publisher known here.
            RequestInvalid: the signature cannot be read. OSError: a file cannot be read or written.
        """
        signed = self._checked(signature)
        with archive.open("rb") as file:
            self.store.put(iter(lambda: file.read(_READ_BYTES), b""), sha256=signed.statement.sha256)
        return self._enter(signed)

    def publish_upload(self, signature: str) -> CatalogueEntry:
        """Take in an archive whose pieces were uploaded.

        Raises:
            as ``publish_file``; NotFound: nothing was uploaded.
        """
        signed = self._checked(signature)
        self.store.finish_parts(signed.statement.sha256)
        return self._enter(signed)

    def withdraw(self, name: str, version: str) -> list[str]:
        """Remove a version from the catalogue, and its files where no other entry needs them.

        Answers what the removed entries were called. Of those that cannot be read the files stay.

        Raises:
            NotFound: it was not published (``PackageNotFound``).
        """
        removed = [entry for entry in self.catalogue.list(name) if entry.version == version]
        unreadable = [field for field in self.catalogue.unreadable(name) if field.split("/")[1:2] == [version]]
        if not removed and not unreadable:
            listing = "agent-version list" if name == AGENT_NAME else "package list"
            raise NotFound(
                f"{name} {version} was not published; `assist {listing}` shows what was", code="PackageNotFound"
            )
        fields = [*(entry.field for entry in removed), *unreadable]
        # The files first: what is cut off here is done by the same once more, which finds the entries.
        for sha256 in {entry.signed.statement.sha256 for entry in removed}:
            if not self.catalogue.needs(sha256, besides=fields):
                self.store.delete(sha256)
        self.catalogue.delete(fields)
        return fields

    def _checked(self, signature: str) -> Signed:
        """Look at a signature; instances judge it again by the publishers that they trust."""
        signed = parse(signature)
        publishers = read_publishers(Path(self._settings.agent.publishers_folder))
        if publishers:
            verify(signature, publishers)
        return signed

    def _enter(self, signed: Signed) -> CatalogueEntry:
        stored = self.store.find(signed.statement.sha256)
        if stored.size_bytes != signed.statement.size:
            raise Refused(
                f"the archive has {stored.size_bytes} bytes and {signed.statement.size} were signed; sign it again",
                code="ArchiveNotSigned",
            )
        self.store.remove_leftovers()
        self._drop_replaced(CatalogueEntry(signed))
        return self.catalogue.add(signed)

    def _drop_replaced(self, entry: CatalogueEntry) -> None:
        """Delete the file of what an entry takes the place of, where nobody needs it any more.

        The file first: what is cut off here is done by the same once more, which finds the earlier entry.
        """
        earlier = [one for one in self.catalogue.list(entry.name) if one.field == entry.field]
        for sha256 in {one.signed.statement.sha256 for one in earlier} - {entry.signed.statement.sha256}:
            if not self.catalogue.needs(sha256, besides=[entry.field]) and not may_be_ordered(self._redis, sha256):
                self.store.delete(sha256)
