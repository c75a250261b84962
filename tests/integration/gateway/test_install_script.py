"""``curl …/install.sh | sh``: run for real into the image of a machine, with all that may be wrong with a download."""

import base64
import http.server
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from integration.gateway.machine_tools import any_downloader, link_tools, make_fetch
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, key_id_of, sign, statement_of
from cloud_assistant.producer.file_store.publishing import Publishing
from cloud_assistant.producer.fleet import activations
from harness.certificates import Authority
from harness.processes import clean_environment, installed_program
from harness.redis_server import RedisServer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a script of POSIX shells")

ARCH = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
SYSTEM = platform.system().lower()


@dataclass
class Site:
    """A gateway with a published agent, and a machine to be."""

    gateway: WholeGateway
    folder: Path
    key: Ed25519PrivateKey
    image: str = "machine"

    @property
    def root(self) -> Path:
        return self.folder / self.image

    @property
    def link(self) -> Path:
        return self.root / "opt/cloud-assistant/current"

    def publish(self, version: str = "1.2.0", *, key: Ed25519PrivateKey | None = None, **said: str) -> str:
        """Publish an agent that registers for real and notes what else it is asked; answers its digest."""
        top = self.folder / f"{AGENT_NAME}-{version}"
        (top / "bin").mkdir(parents=True)
        program = top / "bin" / "assist-agent"
        program.write_text(
            f'#!/bin/sh\n[ $1 = register ] && exec {installed_program("assist-agent")} "$@"\n'
            f'echo {version} "$@" >>{self.folder}/asked\n'
        )
        program.chmod(0o755)
        archive = self.folder / f"{AGENT_NAME}-{version}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(top, top.name)
        words = {"name": AGENT_NAME, "version": version, "os": SYSTEM, "arch": ARCH, **said}
        statement = statement_of(archive, **words)
        publishing = Publishing(self.gateway.assistant.redis, self.gateway.assistant.settings)
        # As somebody would who has the gateway: past the check of what is taken in.
        with archive.open("rb") as file:
            publishing.store.put([file.read()], sha256=statement.sha256)
        field = f"{AGENT_NAME}/{version}/{SYSTEM}/{ARCH}"
        text = sign(key or self.key, statement)
        self.gateway.assistant.redis.call("HSET", keys.PACKAGES, field, text)
        return statement.sha256

    def install(self, *options: str, shell: str = "sh", path: str = "", script: str = "") -> "Done":
        """Pipe the script into a shell, as the documentation says."""
        self.root.mkdir(exist_ok=True)
        if not script:
            status, body = self.gateway.get("/install.sh")
            assert status == 200
            script = body.decode()
        environment = clean_environment(self.folder)
        done = subprocess.run(
            [shutil.which(shell) or shell, "-s", "--", "--root", str(self.root), *options],
            input=script,
            capture_output=True,
            text=True,
            env={**environment, "PATH": path or f"{environment['PATH']}:{any_downloader(self.folder / 'own').parent}"},
            cwd=self.folder,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Done:
    """How the script ended."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def site(redis_server: RedisServer, tmp_path: Path) -> Iterator[Site]:
    key = Ed25519PrivateKey.generate()
    publishers = tmp_path / "publishers"
    publishers.mkdir(mode=0o755)
    (publishers / "ours.pub").write_text(public_text(key.public_key()))
    (publishers / "ours.pub").chmod(0o644)
    with whole_gateway(redis_server.url(), tmp_path / "home", publishers=publishers, has_master_key=True) as gateway:
        yield Site(gateway, tmp_path, key)


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_one_line_installs_and_registers(site: Site, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    site.publish()
    activation_id, code = activations.create(
        site.gateway.assistant.redis, site.gateway.assistant.trust.known_master, instance_name="web"
    )
    done = site.install("--activation-id", activation_id, "--activation-code", code, "--name", "web-x", shell=shell)
    assert done.exit_code == 0, done.stderr
    instance_id = done.stdout.strip()
    assert instance_id.startswith("mi-")
    assert site.link.readlink() == Path("versions/1.2.0")
    config = site.root / "etc/cloud-assistant/config.toml"
    assert instance_id in config.read_text()
    assert config.stat().st_mode & 0o777 == 0o600
    kept = site.root / f"etc/cloud-assistant/publishers/{key_id_of(site.key.public_key())}.pub"
    assert kept.read_text() == public_text(site.key.public_key())
    asked = (site.folder / "asked").read_text()
    program = "/opt/cloud-assistant/current/bin/assist-agent"
    assert asked == f"1.2.0 install --root {site.root} --no-start --program {program}\n"
    again = site.install("--activation-id", activation_id, "--activation-code", code, shell=shell)
    assert (again.exit_code, "already" in again.stderr) == (0, True)
    assert activations.load(site.gateway.assistant.redis, activation_id).registered_count == 1


@pytest.mark.parametrize("is_inside", [False, True], ids=["outside", "inside"])
def test_an_image_names_certificates_as_its_machine_finds_them(site: Site, *, is_inside: bool) -> None:
    site.publish()
    authority = Authority((site.root if is_inside else site.folder) / "srv")
    activation_id, code = activations.create(site.gateway.assistant.redis, site.gateway.assistant.trust.known_master)
    given = ("--activation-id", activation_id, "--activation-code", code)
    done = site.install(*given, "--ca-file", str(authority.ca.relative_to(site.folder)))
    assert done.exit_code == 0, done.stderr
    settings = tomllib.loads((site.root / "etc/cloud-assistant/config.toml").read_text())
    named = settings["gateway"]["ca_file"]
    assert named == (f"/srv/{authority.ca.name}" if is_inside else "/etc/cloud-assistant/gateway-ca.pem")
    assert (site.root / named.lstrip("/")).read_bytes() == authority.ca.read_bytes()
    assert str(site.folder) not in (site.root / "etc/cloud-assistant/config.toml").read_text()


def test_images_that_are_made_on_one_machine_are_instances_of_their_own(site: Site) -> None:
    site.publish()
    activation_id, code = activations.create(site.gateway.assistant.redis, site.gateway.assistant.trust.known_master)
    given = ("--activation-id", activation_id, "--activation-code", code, "--no-service")
    joined = set()
    for name, machine_id in (("first", None), ("second", None), ("third", "uninitialized"), ("fourth", "0123456789ab")):
        site.image = name
        if machine_id is not None:
            (site.root / "etc").mkdir(parents=True)
            (site.root / "etc/machine-id").write_text(machine_id + "\n")
        done = site.install(*given)
        assert done.exit_code == 0, done.stderr
        assert "assist-agent run" not in done.stderr, "it is not for the machine that makes the image"
        joined.add(done.stdout)
    assert len(joined) == 4


@pytest.mark.parametrize("path", ["ca/none.pem", "ca", "/nowhere/none.pem"])
def test_certificates_that_are_not_there_are_said_before_anything_is_done(site: Site, path: str) -> None:
    site.publish()
    (site.folder / "ca").mkdir()
    for gateway in ((), ("--gateway", "https://127.0.0.1:1")):
        done = site.install("--ca-file", path, *gateway)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"--ca-file: there is no file {path}" in done.stderr
        assert list(site.root.iterdir()) == []


def test_the_newest_version_takes_the_place_of_an_older_one(site: Site) -> None:
    site.publish("1.9.0")
    assert site.install().exit_code == 0
    site.publish("1.10.0")
    done = site.install()
    assert done.exit_code == 0, done.stderr
    assert site.link.readlink() == Path("versions/1.10.0")
    assert "not registered" in done.stderr
    assert "Later: /opt/cloud-assistant/current/bin/assist-agent register" in done.stderr, "as the machine finds it"
    assert site.install("--version", "1.9.0").exit_code == 0
    assert site.link.readlink() == Path("versions/1.9.0")


def test_a_version_is_on_the_disk_before_it_is_there(site: Site) -> None:
    site.publish()
    tools = site.folder / "noting"
    tools.mkdir()
    noted = site.folder / "noted"
    (tools / "sync").write_text(f"#!/bin/sh\nls -A {site.root}/opt/cloud-assistant/versions >{noted}\n")
    (tools / "sync").chmod(0o755)
    downloader = any_downloader(site.folder / "own").parent
    done = site.install(path=f"{tools}:{clean_environment(site.folder)['PATH']}:{downloader}")
    assert done.exit_code == 0, done.stderr
    (fresh,) = noted.read_text().split()
    assert fresh.startswith(".1.2.0.")


def test_a_service_may_be_left_out(site: Site) -> None:
    site.publish()
    assert site.install("--no-service").exit_code == 0
    assert not (site.folder / "asked").exists()


def without_openssl(site: Site, *, python: bool = False, downloads: bool = True) -> str:
    """A search path with no OpenSSL on it."""
    tools = link_tools(site.folder / "tools")
    if downloads:
        downloader = any_downloader(site.folder / "own")
        (tools / downloader.name).symlink_to(downloader)
    if python:
        (tools / "python3").symlink_to(Path(sys.executable).resolve())
    return str(tools)


@contextmanager
def lying_gateway(pages: Mapping[str, bytes]) -> Iterator[str]:
    """Serve these pages and nothing else; answers the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def lies(site: Site, what: str) -> tuple[str, bytes]:
    """A signature and an archive that are not what they should be."""
    stranger = Ed25519PrivateKey.generate()
    said = {"system": {"os": "windows"}, "name": {"name": "another"}}.get(what, {})
    sha256 = site.publish(key=stranger if what in ("stranger", "borrowed id") else None, **said)
    redis = site.gateway.assistant.redis
    text = redis.call("HGET", keys.PACKAGES, f"{AGENT_NAME}/1.2.0/{SYSTEM}/{ARCH}").decode()
    archive = Publishing(redis, site.gateway.assistant.settings).store.find(sha256).path.read_bytes()
    signature = text.splitlines()[2].removeprefix("signature ")
    texts = {
        "statement": text.replace('"version":"1.2.0"', '"version":"1.2.1"'),
        "signature": text.replace(signature, base64.b64encode(bytes(64)).decode()),
        "order": text.replace(signature, base64.b64encode(base64.b64decode(signature)[:32] + b"\xff" * 32).decode()),
        "short": text.replace(signature, "AAAA"),
        "no signature": text.replace(signature, ""),
        "text": "hello",
        "long": text + "x" * 5000,
        "borrowed id": text.replace(key_id_of(stranger.public_key()), key_id_of(site.key.public_key())),
    }
    return texts.get(what, text), archive + b" " if what == "archive" else archive


@pytest.mark.parametrize("has_openssl", [True, False])
@pytest.mark.parametrize(
    "what",
    [
        *("statement", "signature", "order", "short", "no signature", "text", "long", "stranger", "borrowed id"),
        *("archive", "system", "name"),
    ],
)
def test_nothing_is_changed_when_a_gateway_lies(site: Site, what: str, has_openssl: bool) -> None:
    text, archive = lies(site, what)
    sha256 = text.partition('"sha256":"')[2][:64]
    pages = {f"/packages/{AGENT_NAME}/latest/{SYSTEM}/{ARCH}": text.encode(), f"/files/{sha256}": archive}
    with lying_gateway(pages) as url:
        done = site.install("--gateway", url, path="" if has_openssl else without_openssl(site, python=True))
    assert done.exit_code == 4, done.stderr
    assert [path for path in site.root.rglob("*") if path.is_file()] == []
    assert not (site.folder / "asked").exists()


def test_a_version_that_is_not_there_is_said(site: Site) -> None:
    site.publish()
    done = site.install("--version", "1.3.0")
    assert (done.exit_code, "has no agent 1.3.0" in done.stderr) == (3, True)


def test_a_signature_is_checked_without_openssl_too_and_never_left_out(site: Site) -> None:
    site.publish()
    bare = without_openssl(site)
    refused = site.install(path=bare)
    assert (refused.exit_code, "neither OpenSSL 3 nor any Python" in refused.stderr) == (1, True)
    (Path(bare) / "python3").symlink_to(Path(sys.executable).resolve())
    done = site.install(path=bare)
    assert done.exit_code == 0, done.stderr


def test_a_machine_with_nothing_to_download_with_is_told_and_fetch_is_enough(site: Site) -> None:
    site.publish()
    bare = without_openssl(site, python=True, downloads=False)
    refused = site.install(path=bare)
    assert (refused.exit_code, "neither curl nor wget nor fetch is here" in refused.stderr) == (1, True), refused
    make_fetch(Path(bare))
    done = site.install(path=bare)
    assert done.exit_code == 0, done.stderr


def test_one_publisher_may_be_asked_for(site: Site) -> None:
    site.publish()
    other = site.install("--publisher", "0123456789abcdef")
    assert (other.exit_code, "not by 0123456789abcdef" in other.stderr) == (4, True)
    done = site.install("--publisher", key_id_of(site.key.public_key()))
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("has_openssl", [True, False])
def test_another_key_under_the_id_of_the_publisher_asked_for_is_found_out(site: Site, has_openssl: bool) -> None:
    ours, other = site.key, Ed25519PrivateKey.generate()
    site.publish(key=other)
    redis, name = site.gateway.assistant.redis, key_id_of(ours.public_key())
    field, text = redis.call("HGETALL", keys.PACKAGES)
    redis.call("HSET", keys.PACKAGES, field, text.decode().replace(key_id_of(other.public_key()), name))
    _, page = site.gateway.get("/install.sh")
    right, wrong = (base64.b64encode(key.public_key().public_bytes_raw()).decode() for key in (ours, other))
    assert right in page.decode()

    path = "" if has_openssl else without_openssl(site, python=True)
    done = site.install("--publisher", name, script=page.decode().replace(right, wrong), path=path)

    assert (done.exit_code, "is another one" in done.stderr) == (4, True), done.stderr
    assert not site.link.exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--what",), "--what is not an option"),
        (("--activation-id",), "needs a value"),
        (("--activation-id", "X"), "needs --activation-code"),
        (("--gateway", "http://192.0.2.1"), "not encrypted"),
        (("--gateway", "http://127.0.0.1.example.org"), "not encrypted"),
        (("--gateway", "ftp://127.0.0.1"), "not encrypted"),
    ],
)
def test_wrong_usage_is_said(site: Site, options: tuple[str, ...], text: str) -> None:
    done = site.install(*options)
    assert (done.exit_code, text in done.stderr) == (2, True), done.stderr


def test_a_download_that_was_cut_off_does_nothing(site: Site) -> None:
    site.publish()
    script = site.gateway.get("/install.sh")[1].decode()
    for share in (0.3, 0.6, 0.9, 0.99):
        done = site.install(script=script[: int(len(script) * share)])
        assert list(site.root.iterdir()) == [], done


def test_a_gateway_without_publishers_says_so(redis_server: RedisServer, tmp_path: Path) -> None:
    with whole_gateway(redis_server.url(), tmp_path / "home") as gateway:
        done = Site(gateway, tmp_path, Ed25519PrivateKey.generate()).install()
    assert (done.exit_code, "names no publisher" in done.stderr) == (4, True)


@pytest.mark.parametrize("called", ["evil';touch x;'", "a b", "x\\", "$(id)", "", "a/../b'"])
def test_what_a_client_calls_us_cannot_become_a_part_of_the_script(site: Site, called: str) -> None:
    for path in ("/install.sh", "/install.ps1"):
        status, body = site.gateway.get(path, {"Host": called})
        assert status == 400, body


@pytest.mark.parametrize("path", ["/install.sh", "/install.ps1"])
def test_every_blank_of_a_script_is_filled_in(site: Site, path: str) -> None:
    status, body = site.gateway.get(path)
    text = body.decode()
    assert status == 200
    assert f"http://127.0.0.1:{site.gateway.port}" in text
    assert (
        f"{key_id_of(site.key.public_key())} {base64.b64encode(site.key.public_key().public_bytes_raw()).decode()}"
        in text
    )
    assert "@GATEWAY@" not in text
    assert "@PUBLISHERS@" not in text


def test_behind_a_proxy_the_script_names_the_address_that_the_client_used(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    told = {"Host": "assist.example", "X-Forwarded-Proto": "https"}
    for trusted, url in (("127.0.0.1", "https://assist.example"), ("", "http://assist.example")):
        with whole_gateway(redis_server.url(), tmp_path, trusted_proxies=trusted) as gateway:
            assert f"gateway='{url}'" in gateway.get("/install.sh", told)[1].decode()
