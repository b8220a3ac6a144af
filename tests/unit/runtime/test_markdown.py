"""Markdown is read aloud without its marks; what only looks like a mark stays."""

import pytest

from services.runtime.language.markdown import plain

TABLE = [
    ("Plain words stay.", "Plain words stay."),
    (
        "| `control` | Envoy keeps its routes. Nothing new comes. |",
        "control: Envoy keeps its routes. Nothing new comes.",
    ),
    ("| **a** | [b](c.md) | | d |", "a: b; d"),
    (r"| a \| b | c |", "a | b: c"),
    ("| only |", "only"),
    ("|---|:--:|", ""),
    ("**Bold** and *slanted* and ~~gone~~.", "Bold and slanted and gone."),
    ("***Both*** at once", "Both at once"),
    ("**bold with *slanted* in it**", "bold with slanted in it"),
    ("_Slanted_ and __two words__", "Slanted and two words"),
    ("See [the `up` verb](cli.md#up) and [ref][1].", "See the up verb and ref."),
    ("See [brackets](https://e.org/a_(b)) here", "See brackets here"),
    ("![A picture](x.png) below", "A picture below"),
    ("<https://example.org/x>", "https://example.org/x"),
    ("`__init__` and ``a ` b``", "__init__ and a ` b"),
    ("# Heading", "Heading"),
    ("> quoted", "quoted"),
    ("- [ ] to do", "to do"),
    ("3. third", "third"),
    (r"\*not emphasis\*", "*not emphasis*"),
    # What only looks like a mark.
    ("2 * 3 * 4 = 24", "2 * 3 * 4 = 24"),
    ("snake_case_name and __init__.py", "snake_case_name and __init__.py"),
    ("a ** b", "a ** b"),
    ("f(*args, **kwargs)", "f(*args, **kwargs)"),
    ("x[0](y z)", "x[0](y z)"),
    ("[1] is a footnote", "[1] is a footnote"),
    ("-5 degrees, #1 and 3.14", "-5 degrees, #1 and 3.14"),
    ("a | b", "a | b"),
    ("It cost $5 <b", "It cost $5 <b"),
    (":x: stays", ":x: stays"),
    ("", ""),
    ("> **quoted\n> over** two lines", "quoted over two lines"),
    ("By:\n\n- card\n- cash.\n- [a](b)", "By: card; cash. a"),
    ("Run:\n\n```sh\na  *b*\n  - c\n```\n\nIt *runs*.", "Run:\n```sh\na  *b*\n  - c\n```\nIt runs."),
    ("```\nno end *here*", "``` no end here"),
    ("Before.\n| a | b |\n|---|---|\n| c | d |\nAfter.", "Before. a: b c: d After."),
]


@pytest.mark.parametrize(("line", "read"), TABLE)
def test_marks_go_and_words_stay(line: str, read: str) -> None:
    assert plain(line) == read


@pytest.mark.parametrize("piece", ["*", "_", "`", "[", "](", "**a ", "~~", "|", "_a ", "<http://", "\\", "* a *"])
def test_a_long_line_of_marks_takes_no_longer_than_its_length(piece: str) -> None:
    """Where the time went with the square of the length, this would not end."""
    assert plain(piece * (400_000 // len(piece))) is not None
