"""``GET /install.sh`` and ``/install.ps1``: a machine joins with one line."""

import base64
import re
from pathlib import Path

from ....broker_config.errors import SettingsInvalid
from ....broker_config.programs.program_log import logger
from ....broker_config.releases.publisher_keys import private_key_path, read_private_key, read_publishers
from ....broker_config.releases.publisher_signing import key_id_of
from ....broker_config.settings_table import Settings
from ..routes import Route, RouteRequest
from ..serving.http_messages import HttpReply, text_reply

PATHS = ("/install.sh", "/install.ps1")
#: What may stand in a script between quotes: nothing that a shell or PowerShell would read as anything but text.
_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")

_log = logger("gateway")


class InstallPages:
    """The scripts, with this gateway's address and the keys of its publishers put in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def routes(self) -> dict[str, Route]:
        """The pages by path."""
        return {path: Route(("GET", "HEAD"), self.answer) for path in PATHS}

    def answer(self, asked: RouteRequest) -> HttpReply:
        """Give a script."""
        url = self._settings.gateway.public_url.rstrip("/") or self._called_url(asked)
        if not _URL.fullmatch(url):
            text = "the address of this gateway cannot be told from the request; set gateway.public_url\n"
            return text_reply(400, text)
        template = Path(__file__).with_name(asked.request.path[1:]).read_text(encoding="utf-8")
        script = template.replace("@GATEWAY@", url).replace("@PUBLISHERS@", "\n".join(self._publishers()))
        return text_reply(200, script, {"cache-control": "no-store"})

    def _called_url(self, asked: RouteRequest) -> str:
        """Where the client found us; behind a proxy that ends TLS, as that says it."""
        is_https = asked.scheme == "https" or (
            asked.through_proxy and asked.request.header(b"x-forwarded-proto").lower() == "https"
        )
        return f"{'https' if is_https else 'http'}://{asked.request.called_name}"

    def _publishers(self) -> list[str]:
        """Every publisher that is trusted here, and the one whose private key is here: id and key, one a line."""
        keys = {}
        try:
            keys = dict(read_publishers(Path(self._settings.agent.publishers_folder)))
            own = private_key_path(self._settings)
            if own.exists():
                public = read_private_key(own).public_key()
                keys[key_id_of(public)] = public
        except SettingsInvalid as exc:
            _log.warning("the install scripts lack publishers: %s", exc)
        return [f"{key_id} {base64.b64encode(key.public_bytes_raw()).decode()}" for key_id, key in sorted(keys.items())]
