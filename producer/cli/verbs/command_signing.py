"""``assist command sign``: sign a script with an operator's own key."""

import click

from ....broker_config.security.content_signing import public_text, sign_content
from ..assist_command import assist_command
from ..call import Call
from ..options.given_bytes import read_file, read_given

#: The mark of a comment in a batch file.
_BAT_COMMENT = "rem"


@assist_command(
    "sign",
    examples=(
        "assist command sign check.sh --key operator.pem > check.signed.sh",
        "assist command sign --public --key operator.pem",
    ),
)
@click.argument("file", metavar="FILE", required=False)
@click.option("--key", required=True, metavar="FILE", help="Ed25519 private key in PEM (openssl genpkey).")
@click.option("--public", is_flag=True, help="Print the public key, for `signers` of a local policy, and sign nothing.")
@click.option("--bat", is_flag=True, help="The script is a batch file: its comments begin with rem.")
def sign(call: Call, *, file: str | None, key: str, public: bool, bat: bool) -> None:
    """Sign a script for instances whose local policy names your key; the signed script goes to standard output.

    The signature is a comment in its last line, so store and run it like any other script. Nothing is sent anywhere.
    """
    private = read_file(key)
    if public:
        call.print(public_text(private))
    elif file is None:
        raise click.UsageError("name the script's file, or - for standard input")
    else:
        content = read_given(file)
        call.print_bytes(sign_content(content, private, comment=_BAT_COMMENT if bat else "#"))
