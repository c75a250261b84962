"""Make a shell script's text fit for a Unix interpreter."""

UTF8_MARK = b"\xef\xbb\xbf"


def clean_shell_content(content: bytes) -> tuple[bytes, list[str]]:
    """Return the text without a byte order mark and without Windows line ends, and a note for each change.

    The first line decides: when it ends in CR LF the file was saved by a Windows editor and every CR LF becomes LF.
    A CR anywhere else may be meant (a here-document for a network protocol) and stays.
    """
    notes = []
    if content.startswith(UTF8_MARK):
        content = content[len(UTF8_MARK) :]
        notes.append("removed the UTF-8 byte order mark before the first line")
    first_line, separator, _ = content.partition(b"\n")
    if separator and first_line.endswith(b"\r"):
        line_count = content.count(b"\r\n")
        content = content.replace(b"\r\n", b"\n").removesuffix(b"\r")
        notes.append(f"converted {line_count} Windows line ends (CR LF) to LF")
    return content, notes
