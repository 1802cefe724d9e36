"""Pictures in a terminal: what is printed holds the picture, in the words of the two protocols."""

import base64
import re

import pytest

from initlab.base.inline_picture import inline_picture

PNG = bytes(range(256)) * 40


def test_iterm_is_given_the_file_at_once() -> None:
    said = inline_picture(PNG, {"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"})
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+):([\w+/=]+)\x07\n", said)
    assert found is not None
    assert int(found[1]) == len(PNG)
    assert base64.b64decode(found[2]) == PNG


def test_kitty_is_given_it_in_pieces_of_which_the_last_says_so() -> None:
    said = inline_picture(PNG, {"TERM": "xterm-kitty"})
    parts = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", said)
    assert [keys for keys, _ in parts] == ["a=T,f=100,m=1", *["m=1"] * (len(parts) - 2), "m=0"]
    assert max(len(letters) for _, letters in parts) <= 4096
    assert base64.b64decode("".join(letters for _, letters in parts)) == PNG


@pytest.mark.parametrize("environment", [{}, {"TERM": "xterm-256color"}, {"TERM": "tmux", "KITTY_WINDOW_ID": "1"}])
def test_others_are_given_nothing(environment: dict[str, str]) -> None:
    assert inline_picture(PNG, environment) == ""
