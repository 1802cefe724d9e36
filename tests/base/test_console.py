"""What a terminal shows: sentences broken between words, commands whole."""

import io

from rich.console import Console

from initlab.base.console import say

SENTENCE = "On wine, he_normal is best: test accuracy 0.972 [0.961, 0.983] over 10 well-chosen seeds."


def shown(text: str, *, terminal: bool = True, to_paste: bool = False) -> list[str]:
    """Lines as they are written to a terminal, or a file, of 40 columns."""
    console = Console(file=io.StringIO(), width=40, force_terminal=terminal, color_system=None)
    say(console, text, to_paste=to_paste)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().removesuffix("\n").split("\n")


def test_sentences_are_broken_between_words_in_a_terminal() -> None:
    assert shown(f"{SENTENCE}\n  {SENTENCE}") == [
        "On wine, he_normal is best: test",
        "accuracy 0.972 [0.961, 0.983] over 10",
        "well-chosen seeds.",
        "  On wine, he_normal is best: test",
        "  accuracy 0.972 [0.961, 0.983] over 10",
        "  well-chosen seeds.",
    ]


def test_commands_paths_and_what_goes_to_a_file_are_not_broken() -> None:
    command = "python -m initlab.report outputs/2026-11-27_03-52-40 --output elsewhere"
    assert shown(command, to_paste=True) == [command]
    assert shown(SENTENCE, terminal=False) == [SENTENCE]
    path = "outputs/" + "very_long_name/" * 4
    assert shown(f"In {path}: report.html") == ["In", f"{path}:", "report.html"]
