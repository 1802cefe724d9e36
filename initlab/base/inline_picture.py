"""Pictures between the lines of a terminal that can show them: iTerm2 and WezTerm, kitty and Ghostty."""

import base64
from collections.abc import Mapping
from typing import Final

CHUNK: Final = 4096  # letters of one of kitty's messages


def inline_picture(png: bytes, environment: Mapping[str, str]) -> str:
    """What shows a picture when it is printed; empty for terminals that are not known to show any.

    Args:
        png: The content of a PNG file.
        environment: Variables of the process, by which terminals say what they are.

    Source: https://iterm2.com/documentation-images.html and https://sw.kovidgoyal.net/kitty/graphics-protocol.
    """
    letters = base64.b64encode(png).decode()
    if environment.get("TERM", "").startswith(("screen", "tmux")):  # which pass nothing on
        return ""
    if environment.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return f"\033]1337;File=inline=1;size={len(png)}:{letters}\a\n"
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        chunks = [letters[start : start + CHUNK] for start in range(0, len(letters), CHUNK)]
        keys = ["a=T,f=100,", *[""] * (len(chunks) - 1)]
        more = [*[1] * (len(chunks) - 1), 0]
        parts = zip(keys, more, chunks, strict=True)
        return "".join(f"\033_G{key}m={go_on};{chunk}\033\\" for key, go_on, chunk in parts) + "\n"
    return ""
