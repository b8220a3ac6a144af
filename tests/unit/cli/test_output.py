"""Tables that fit, ids and times in few characters, and text that is printed as it is."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from cli import brief, output
from cli.admin import audit
from cli.errors import CliError
from cli.output import Flow, console, put, table_of
from cli.runs.find import whole_id

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
RUN = "run_orchestrator-0_0123456789abcdef0123456789abcdef"
OTHER = "run_orchestrator-1_0123ffffffffffffffffffffffffffff"


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def text_of(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def printed(columns: list[str], rows: list[list[object]], width: int) -> list[str]:
    out = terminal(width)
    table, _ = table_of(columns, rows, width)
    out.print(table)
    return text_of(out).splitlines()


@pytest.mark.parametrize(
    ("back", "said"),
    [
        (timedelta(seconds=0), "just now"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=3, seconds=20), "3 min ago"),
        (timedelta(hours=25), "1 d ago"),
        (timedelta(days=800), "2 y ago"),
        (-timedelta(days=89, hours=1), "in 89 d"),
    ],
)
def test_times_are_said_as_people_do(back: timedelta, said: str) -> None:
    assert brief.ago((NOW - back).isoformat().replace("+00:00", "Z"), NOW) == said


def test_what_is_no_time_or_id_stays() -> None:
    assert brief.ago("soon", NOW) == "soon"
    assert brief.short("run_1") == "run_1"
    assert brief.short("key_0123456789abcdef0123") == "key_0123456789abcdef0123"


def test_a_short_id_is_accepted_where_it_is_the_beginning_of_one() -> None:
    assert brief.short(RUN) == "run_01234567"
    assert whole_id(brief.short(RUN), [OTHER, RUN]) == RUN
    assert whole_id("run_0123f", [OTHER, RUN]) == OTHER
    assert whole_id("run_9999", [OTHER, RUN]) == "run_9999"
    with pytest.raises(CliError, match="several"):
        whole_id("run_0123", [OTHER, RUN])


ROWS: list[list[object]] = [
    ["run_01234567", "analyst", "succeeded", "3 min ago", 1.25, "", "stop", "a-collection-of-some-length"],
    ["run_89abcdef", "a-model-with-a-rather-long-name", "waiting", "1 d ago", None, "", "", "docs"],
]
HEADS = ["run", "model", "state", "started", "seconds", "waits for", "ended by", "collection"]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_a_table_fits_and_no_id_is_torn(width: int) -> None:
    lines = printed(HEADS, ROWS, width)
    assert all(cell_len(line) <= width for line in lines)
    assert any(line.startswith("run_01234567 ") for line in lines)
    assert len(lines) == 3


def test_columns_at_the_end_go_first_and_are_named() -> None:
    _, left_out = table_of(HEADS, ROWS, 80)
    assert left_out == ["ended by", "collection"]
    assert table_of(HEADS, ROWS, 200)[1] == []


def test_where_nobody_watches_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = "words and more of them " * 30
    output.print_table(["a", "b", "c"], [["x" * 100, words.strip(), RUN], ["y", "z", 1]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["x" * 100, *words.split(), RUN]


def test_an_empty_column_is_none() -> None:
    assert "waits for" not in printed(HEADS, ROWS, 200)[0]


def test_long_texts_are_wrapped_at_words() -> None:
    words = "Answers questions with tools, searches the documents, calculates, and knows the time."
    lines = printed(["agent", "what it does"], [["analyst", words]], 40)
    assert all(cell_len(line) <= 40 for line in lines)
    assert " ".join(" ".join(line.split()) for line in lines).endswith(words.replace("Answers", "Answers"))
    assert " ".join(part for line in lines[1:] for part in line.replace("analyst", "").split()) == words


USERS = [":x: stays", "[bold]not bold[/]", "[/] alone", ":warning: [red]", "\\[x]", "x[0] :smile:"]


@pytest.mark.parametrize("said", USERS)
@pytest.mark.parametrize("width", [0, 80])
def test_what_users_wrote_is_printed_as_it_is(
    said: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if width:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    put(console(), said, style="dim")
    output.print_table(["a", said], [["b", said]])
    flow = Flow(console())
    flow.write(said)
    flow.close()
    span = {"start": 0, "end": 1}
    output.print_citations([{"title": said, "document_id": said, "quote": "q", "span": span}])
    plain = Text.from_ansi(capsys.readouterr().out).plain
    assert plain.count(said) == 5


def test_every_console_is_made_in_one_place() -> None:
    """Others would take what users wrote for markup and for the names of emojis."""
    folder = Path(output.__file__).parent
    makers = [path.name for path in folder.rglob("*.py") if re.search(r"\bConsole\(", path.read_text("utf-8"))]
    assert makers == ["output.py"]


def test_what_a_terminal_would_obey_is_shown_as_a_mark() -> None:
    out = terminal(80)
    put(out, "a\x1b[2Jb\x07")
    flow = Flow(out)
    flow.write("c\x1b]0;title\x07d\r\ne\r")
    flow.close()
    assert text_of(out).replace("\ufffd", "?") == "a?[2Jb?\nc?]0;title?d\ne?\n"
    assert output.cell("x\x9by") == "x\ufffdy"


PIECES = ["Hello", ", wor", "ld! This", " is a sentence that is lon", "ger than a line.\n\nAnd", " another one\n"]


@pytest.mark.parametrize("width", [24, 30, 80])
def test_text_that_comes_in_pieces_is_wrapped_at_words(width: int) -> None:
    out = terminal(width)
    flow = Flow(out)
    for piece in PIECES:
        flow.write(piece)
    flow.close()
    lines = text_of(out).split("\n")
    assert all(len(line.rstrip()) <= width for line in lines)
    assert " ".join(text_of(out).split()) == " ".join("".join(PIECES).split())
    assert "" in lines  # the blank line


def shown(text: str, width: int) -> list[str]:
    """The lines of a terminal that begins the next one by itself once its last column is written."""
    lines = [""]
    for character in text:
        if character == "\n":
            lines.append("")
            continue
        lines[-1] += character
        if cell_len(lines[-1]) >= width:
            lines.append("")
    return lines


@pytest.mark.parametrize("length", range(76, 84))
@pytest.mark.parametrize("indent", [0, 4])
@pytest.mark.parametrize("wide", [False, True])
def test_no_line_is_torn_where_one_is_as_long_as_the_terminal_is_wide(length: int, indent: int, wide: bool) -> None:
    out = terminal(80)
    flow = Flow(out, indent)
    line = ("蜜蜂 " if wide else "bees ") * 20
    flow.write(f"{line[: length - 1]}x \n\nIt goes  on.\n")
    flow.close()
    lines = shown(text_of(out), 80)
    assert all(cell_len(one) < 80 for one in lines)
    assert not [one for one in lines if one != one.rstrip() and one.strip()], "no spaces at the end"
    words = [one.strip() for one in lines]
    at = words.index("It goes  on.")
    assert not words[at - 1]
    assert all(words[: at - 1]), "the blank line of the text, and no other"


def test_a_column_of_importance_stays_before_one_that_comes_first() -> None:
    row: list[object] = [
        "3 min ago",
        "somebody-with-a-name@of-quite-some-length.example",
        "RunService/Run",
        "allowed",
        12,
    ]
    heads = ["time", "subject", "action", "decision", "tokens"]
    table, left_out = table_of(heads, [row], 60, ("time", "action", "decision"))
    assert left_out == ["subject"]
    out = terminal(60)
    out.print(table)
    assert text_of(out).split("\n")[0].split() == ["time", "action", "decision", "tokens"]


def test_a_method_is_short() -> None:
    assert brief.short("/headworks.orchestrator.v1.RunService/Run") == "Run/Run"
    assert brief.short("headworks.orchestrator.v1.RunService/Run") == "Run/Run"
    assert brief.short("docs/page.md") == "docs/page.md"


def test_without_color_nothing_is_bold_or_dim(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    put(console(), "dim", style="dim")
    output.print_table(["a", "b"], [["c", "d"]])
    assert "\x1b" not in capsys.readouterr().out


def test_where_nobody_watches_text_goes_out_as_it_comes() -> None:
    out = Console(file=io.StringIO(), soft_wrap=True)
    flow = Flow(out)
    flow.write(PIECES[0])
    assert text_of(out) == PIECES[0]


@pytest.mark.parametrize(
    ("number", "nouns", "said"),
    [(0, ("record",), "0 records"), (1, ("record",), "1 record"), (2, ("record",), "2 records"),
     (1234, ("record",), "1,234 records"), (1, ("usage", "usage"), "1 usage"), (2, ("usage", "usage"), "2 usage")],
)  # fmt: skip
def test_a_number_agrees_with_its_noun(number: int, nouns: tuple[str, ...], said: str) -> None:
    assert brief.counted(number, *nouns) == said


@pytest.mark.parametrize(
    ("chains", "anchors", "said"),
    [
        ([(0, 0, 0)], 0, "0 records: sound"),
        ([(1, 1, 1)], 1, "1 record, number 1, beside 1 anchor: sound"),
        ([(3, 1, 3)], 2, "3 records, 1 to 3, beside 2 anchors: sound"),
        (
            [(1, 4, 4), (2, 1, 2)],
            0,
            "chain 1: 1 record, number 4\nchain 2: 2 records, 1 to 2\n3 records in 2 chains: sound",
        ),
    ],
)
def test_what_was_verified(chains: list[tuple[int, int, int]], anchors: int, said: str) -> None:
    parts = [
        {"chain": number, "records": records, "first": first, "last": last}
        for number, (records, first, last) in enumerate(chains, 1)
    ]
    whole = {"records": sum(part["records"] for part in parts), "first": chains[0][1], "last": chains[0][2]}
    assert (
        audit._summary({**whole, "chains": parts, "anchors": anchors, "findings": [], "faults": 0, "sound": True})
        == said
    )


@pytest.mark.parametrize("width", [0, 24, 80])
@pytest.mark.parametrize("indent", [0, 4])
@pytest.mark.parametrize("text", ["Hello", "Hello there", "Hello \n", "Hello\n", "a\n\nb", "word " * 30, ""])
def test_however_a_flow_is_left_all_came_out_and_its_line_is_ended(width: int, indent: int, text: str) -> None:
    out = terminal(width) if width else Console(file=io.StringIO(), soft_wrap=True)

    def fail() -> None:
        with Flow(out, indent) as flow:
            for character in text:
                flow.write(character)
            raise CliError("x")

    with pytest.raises(CliError):
        fail()
    put(out, "headworks: x")
    assert text_of(out).split() == [*text.split(), "headworks:", "x"]
    assert text_of(out).splitlines()[-1] == "headworks: x"


class Pressed(io.StringIO):
    """A terminal at which somebody presses Ctrl-C as soon as something is there."""

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.getvalue() == "Hello":
            raise KeyboardInterrupt
        return written


def test_ctrl_c_loses_no_word_that_came_and_writes_none_twice() -> None:
    out = terminal(80)
    out.file = Pressed()
    with pytest.raises(KeyboardInterrupt), Flow(out) as flow:
        flow.write("Hello there, you")
    assert text_of(out) == "Hello there, you\n"


TURNING = [chr(number) for number in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]


@pytest.mark.parametrize("sign", [*TURNING, "\x1b", "\x9b", "\x07", "\x7f"])
def test_no_sign_that_a_terminal_obeys_goes_out(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, text = console(), f"a{sign}b"
    put(out, text)
    with Flow(out) as flow:
        flow.write(text)
    output.print_table(["a"], [[text]])
    output.warn(text)
    output.print_json({"text": text})
    printed = capsys.readouterr()
    assert sign not in printed.out + printed.err
    assert printed.out.count("\ufffd") == 3
    assert printed.err == "headworks: a\ufffdb\n"
    assert json.loads(printed.out[printed.out.index("{") :]) == {"text": text}
