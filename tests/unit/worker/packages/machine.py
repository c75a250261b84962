"""A machine with the archives of one publisher already fetched."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config.releases.package_order import PackageAction, PackageOrder
from cloud_assistant.broker_config.releases.package_report import InstalledPackage
from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.broker_config.releases.publisher_signing import Statement, sign
from cloud_assistant.worker.packages.agent_notes import AgentNotes
from cloud_assistant.worker.packages.package_work import PackageWork

_FILE = """name = "{name}"
version = "{version}"
healthy_within_seconds = {patience}
requires = {requires}
[scripts.any]
{scripts}
"""


@dataclass
class Machine:
    """The machine; scripts of its packages write into ``log`` what they are and were told."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    said: list[str] = field(default_factory=list)
    #: What the file of a package begins with, and the version that it names when it is not the signed one.
    mark: str = ""
    named_version: str = ""
    needs: list[str] = field(default_factory=list)
    #: Other requirements, as TOML has them.
    requires: str = ""
    #: How long it may take a package to be healthy, and what else its file says of scripts.
    patience: float = 0
    script_lines: str = ""

    def __post_init__(self) -> None:
        for name in ("home", "publishers"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "publishers" / "us.pub").write_text(public_text(self.key.public_key()))
        notes = AgentNotes(publishers_folder=str(self.folder / "publishers"), agent_version="1.5.0")
        self.work = PackageWork(home=self.folder / "home", notes=notes, say=self.said.append)

    def order(
        self,
        version: str,
        *,
        name: str = "tools",
        system: tuple[str, str] = ("any", "any"),
        scripts: Mapping[str, str] | None = None,
        executable: bool = False,
        links: Mapping[str, str] | None = None,
    ) -> PackageOrder:
        """Have an archive fetched, and give the order to install it."""
        given = {"install": "exit 0", "health": "exit 0"} if scripts is None else scripts
        requires = f"{{ packages = {self.needs} {f', {self.requires}' if self.requires else ''} }}"
        listed = "\n".join(f'{word} = "{word}.sh"' for word in (*given, *(links or {})))
        text = _FILE.format(
            name=name,
            version=self.named_version or version,
            requires=requires,
            scripts=listed + self.script_lines,
            patience=self.patience,
        )
        files = {"package.toml": self.mark + text, **{f"{word}.sh": self._script(word, given[word]) for word in given}}
        packed = io.BytesIO()
        # Without the time: the same content has the same digest a second later.
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
            for path, content in files.items():
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(content.encode()), 0o755 if executable else 0o644
                tar.addfile(member, io.BytesIO(content.encode()))
            for word, aim in (links or {}).items():
                member = tarfile.TarInfo(f"{word}.sh")
                member.type, member.linkname = tarfile.SYMTYPE, aim
                tar.addfile(member)
        data = packed.getvalue()
        sha256 = hashlib.sha256(data).hexdigest()
        self.work.index.folder.mkdir(exist_ok=True)
        (self.work.index.folder / f"{sha256}.part").write_bytes(data)
        of_system, arch = system
        statement = Statement(name=name, version=version, os=of_system, arch=arch, sha256=sha256, size=len(data))
        return PackageOrder(action=PackageAction.INSTALL, name=name, signature=sign(self.key, statement))

    def _script(self, word: str, content: str) -> str:
        told = f'echo "{word} $CA_PACKAGE_VERSION previous=$CA_PACKAGE_PREVIOUS" >> "{self.folder}/log"'
        return content if content.startswith("#!") else f"{told}\n{content}\n"

    def install(
        self, version: str, *, name: str = "tools", force: bool = False, scripts: Mapping[str, str] | None = None
    ) -> int:
        """Install a version; answers the exit code."""
        order = self.order(version, name=name, scripts=scripts)
        return self.work.obey(
            PackageOrder(action=PackageAction.INSTALL, name=name, signature=order.signature, force=force)
        )

    def do(self, action: PackageAction, name: str = "tools") -> int:
        """Do something that needs no archive."""
        return self.work.obey(PackageOrder(action=action, name=name))

    def uninstall(self, name: str) -> int:
        return self.do(PackageAction.UNINSTALL, name)

    def check(self) -> int:
        return self.do(PackageAction.CHECK)

    def lines(self) -> list[str]:
        """What scripts wrote since the last call."""
        log = self.folder / "log"
        text = log.read_text() if log.exists() else ""
        log.unlink(missing_ok=True)
        return text.splitlines()

    @property
    def tools(self) -> InstalledPackage:
        """What is known of the package of that name."""
        return self.work.index.all()["tools"]

    def versions(self) -> list[str]:
        """The folders of the package."""
        folder = self.work.index.folder / "tools"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
