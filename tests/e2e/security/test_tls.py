"""TLS between every program and Redis, and in front of the gateway; each mistake says what to do, in one line."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.certificates import Authority, Certificate
from harness.eventually import eventually
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer, server_binary
from harness.system import System
from harness.tls_terminator import TlsTerminator

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]


class Secured:
    """A Redis behind TLS that wants client certificates, and a CA that makes them."""

    def __init__(self, server: RedisServer, folder: Path, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack
        self.authority = Authority(folder / "ca")
        self.other = Authority(folder / "other-ca")
        self.client = self.authority.issue("client", "client")
        self.terminator = self.behind(self.authority.issue("server", "127.0.0.1", "localhost"))

    def behind(self, certificate: Certificate) -> TlsTerminator:
        made = TlsTerminator(self._server.port, certificate, client_ca=self.authority.ca)
        return self._stack.enter_context(made)

    def url(
        self,
        terminator: TlsTerminator | None = None,
        *,
        ca: Path | None = None,
        client: Certificate | None = None,
        anonymous: bool = False,
        name: str = "127.0.0.1",
    ) -> str:
        shown = client or self.client
        own = "" if anonymous else f"&cert={shown.cert}&key={shown.key}"
        return f"rediss://{name}:{(terminator or self.terminator).port}/0?ca={ca or self.authority.ca}{own}"


@pytest.fixture
def secured(redis_server: RedisServer, tmp_path: Path) -> Iterator[Secured]:
    with ExitStack() as stack:
        yield Secured(redis_server, tmp_path, stack)


def test_every_program_works_over_tls(secured: Secured, tmp_path: Path) -> None:
    system = System(tmp_path / "system", secured.url())
    try:
        agent = system.start_agent()
        system.start_beat()
        gateway = system.start_gateway()
        outcome = system.assist("run", "echo over tls; sleep 0.5; echo more", "--instance", "i-one").must_succeed()
        assert outcome.stdout == "over tls\nmore\n"
        assert system.assist("instance", "list", "--output", "json").must_succeed().json[0]["Connected"]
        # What idles must not be taken for broken: with TLS 1.3 servers send tickets that nobody asked for.
        used = secured.terminator.connection_count
        assert system.assist("run", "true", "--instance", "i-one").must_succeed()
        assert secured.terminator.connection_count - used < 10
        for log in (agent.log(), gateway.log()):
            assert "Traceback" not in log
    finally:
        system.stop()


def mistakes() -> dict[str, tuple[Callable[[Secured], str], str]]:
    """What can be wrong with a certificate: the address that meets it, and the words that say what to do."""
    return {
        "wrong CA": (lambda s: s.url(ca=s.other.ca), "name the CA file of the server with ?ca=FILE"),
        "wrong name": (lambda s: s.url(s.behind(s.authority.issue("x", "redis.example"))), "is not for 127.0.0.1"),
        "expired": (lambda s: s.url(s.behind(s.authority.issue("x", "127.0.0.1", days=-1))), "has expired; renew it"),
        "no client certificate": (lambda s: s.url(anonymous=True), "client certificate; name one with ?cert=FILE&key="),
        "client of another CA": (lambda s: s.url(client=s.other.issue("c", "c")), "does not accept our certificate"),
        "client expired": (lambda s: s.url(client=s.authority.issue("c", "c", days=-1)), "certificate"),
        "no CA file": (lambda s: s.url(ca=Path("/nowhere/ca.crt")), "there is no file /nowhere/ca.crt (ca)"),
        "CA file is none": (lambda s: s.url(ca=s.client.key), "holds no certificate in PEM"),
        "key of another": (
            lambda s: s.url(client=Certificate(s.client.cert, s.authority.issue("k", "k").key)),
            "does not belong to the certificate",
        ),
        "no TLS there": (lambda s: s.url().replace(str(s.terminator.port), str(s._server.port)), "does not speak TLS"),
        "TLS there": (
            lambda s: f"redis://127.0.0.1:{s.terminator.port}/0",
            "if it speaks TLS there, the address begins with rediss://",
        ),
    }


MISTAKES = mistakes()


@pytest.mark.parametrize("name", MISTAKES)
def test_the_command_line_says_which_certificate_is_wrong(secured: Secured, tmp_path: Path, name: str) -> None:
    address, words = MISTAKES[name]
    outcome = System(tmp_path / "system", address(secured)).assist("instance", "list")
    assert outcome.exit_code == 3
    assert words in outcome.stderr
    assert ("Traceback" in outcome.stderr, len(outcome.stderr.splitlines())) == (False, 1)


@pytest.mark.parametrize("name", ["wrong CA", "wrong name", "expired", "no client certificate", "no CA file"])
@pytest.mark.parametrize("program", ["assist-agent", "assist-beat", "assist-gateway"])
def test_every_program_says_so_in_its_log_and_goes_on_trying(
    secured: Secured, tmp_path: Path, program: str, name: str
) -> None:
    address, words = MISTAKES[name]
    home = tmp_path / "home"
    environment = {
        "CLOUD_ASSISTANT_REDIS_URL": address(secured),
        "CLOUD_ASSISTANT_HOME": str(home),
        "CLOUD_ASSISTANT_INSTANCE_ID": "i-one",
        "CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true",
        "CLOUD_ASSISTANT_GATEWAY_PORT": "0",
    }
    arguments: list[str | Path] = [installed_program(program)]
    if program == "assist-agent":
        arguments.append("run")
    running = Program(arguments, env=clean_environment(home, environment), cwd=home, log_path=home / "program.log")
    with running:
        eventually(lambda: words in running.log(), 15, f"{program} says {words!r}\n{running.log()}")
        assert running.is_running
        assert "Traceback" not in running.log()


def test_an_agent_comes_back_when_the_certificate_is_renewed(redis_server: RedisServer, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    files = authority.issue("server", "127.0.0.1", days=-1)
    with ExitStack() as stack:
        terminator = stack.enter_context(TlsTerminator(redis_server.port, files))
        system = System(tmp_path / "system", f"rediss://127.0.0.1:{terminator.port}/0?ca={authority.ca}")
        stack.callback(system.stop)
        with pytest.raises(AssertionError):
            system.start_agent(ready_within_seconds=0.1)
        agent = system.agents["i-one"]
        agent.wait_for_line("has expired", within_seconds=30)
        authority.issue("server", "127.0.0.1")
        terminator.renew(files)
        agent.wait_for_line("agent ready", within_seconds=30)


def test_the_gateway_serves_https_and_its_client_checks_it(secured: Secured, tmp_path: Path) -> None:
    files = secured.authority.issue("gateway", "127.0.0.1")
    system = System(tmp_path / "system", secured.url())
    try:
        gateway = system.start_gateway(
            environment={
                "CLOUD_ASSISTANT_GATEWAY_TLS_CERTIFICATE": str(files.cert),
                "CLOUD_ASSISTANT_GATEWAY_TLS_KEY": str(files.key),
                "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": "key",
                "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": "secret",
            }
        )
        url = gateway.url.replace("http://", "https://")
        given = {
            "CLOUD_ASSISTANT_GATEWAY_URL": url,
            "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": "key",
            "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": "secret",
            "CLOUD_ASSISTANT_GATEWAY_CA_FILE": str(secured.authority.ca),
        }
        system.assist("ecs", "DescribeRegions", environment=given).must_succeed()
        for ca, words in ((secured.other.ca, "with gateway.ca_file"), (tmp_path / "none", "there is no file")):
            refused = system.assist(
                "ecs", "DescribeRegions", environment={**given, "CLOUD_ASSISTANT_GATEWAY_CA_FILE": str(ca)}
            )
            assert refused.exit_code in (2, 3)
            assert words in refused.stderr
    finally:
        system.stop()


@pytest.mark.parametrize("wrong", ["key", "garbage"])
def test_a_gateway_with_a_wrong_certificate_does_not_start_and_says_why(
    redis_server: RedisServer, secured: Secured, tmp_path: Path, wrong: str
) -> None:
    files = secured.authority.issue("gateway", "127.0.0.1")
    key = secured.client.key
    if wrong == "garbage":
        key = tmp_path / "garbage.key"
        key.write_text("no key")
    home = tmp_path / "home"
    environment = {
        "CLOUD_ASSISTANT_REDIS_URL": redis_server.url(),
        "CLOUD_ASSISTANT_HOME": str(home),
        "CLOUD_ASSISTANT_GATEWAY_PORT": "0",
        "CLOUD_ASSISTANT_GATEWAY_TLS_CERTIFICATE": str(files.cert),
        "CLOUD_ASSISTANT_GATEWAY_TLS_KEY": str(key),
    }
    gateway = Program(
        [installed_program("assist-gateway")],
        env=clean_environment(home, environment),
        cwd=home,
        log_path=home / "gateway.log",
    )
    with gateway:
        assert gateway.wait() == 2
    assert "gateway.tls_certificate" in gateway.log()
    assert "Traceback" not in gateway.log()


KINDS = (("crt", "644"), ("key", "600"))


def test_the_script_makes_a_ca_that_works_with_a_server_of_its_own_tls(tmp_path: Path) -> None:
    binary = server_binary(with_tls=True)
    ca = tmp_path / "ca"
    subprocess.run([REPOSITORY / "deploy" / "make-test-ca", ca, "redis.example"], check=True, capture_output=True)
    # Programs that run as other users check the server by it; keys are for their owner alone.
    modes = {one.name: f"{one.stat().st_mode & 0o777:o}" for one in ca.iterdir()}
    assert modes == {f"{who}.{kind}": mode for who in ("ca", "server", "client") for kind, mode in KINDS}
    with ExitStack() as stack:
        plain = stack.enter_context(RedisServer(tmp_path / "reserve"))
        tls_port = plain.port
        plain.stop()
        config: dict[str, str | int] = {
            "tls-port": tls_port,
            "tls-cert-file": str(ca / "server.crt"),
            "tls-key-file": str(ca / "server.key"),
            "tls-ca-cert-file": str(ca / "ca.crt"),
        }
        stack.enter_context(RedisServer(tmp_path / "redis", binary=binary, config=config))
        base = f"rediss://127.0.0.1:{tls_port}/0?ca={ca}/ca.crt"
        system = System(tmp_path / "system", f"{base}&cert={ca}/client.crt&key={ca}/client.key")
        stack.callback(system.stop)
        system.start_agent()
        assert system.assist("run", "echo real", "--instance", "i-one").must_succeed().stdout == "real\n"
        refused = System(tmp_path / "anonymous", base).assist("instance", "list")
        assert (refused.exit_code, "client certificate" in refused.stderr) == (3, True)
