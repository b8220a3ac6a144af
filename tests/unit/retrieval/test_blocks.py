"""What readers make of documents: blocks, and what of them can be quoted by itself."""

import pytest

from services.retrieval.errors import DocumentUnreadable, EncodingUnknown
from services.retrieval.ingest.blocks import Extract, Kind, lay_out
from services.retrieval.ingest.html import read_html
from services.retrieval.ingest.markdown import read_markdown
from services.retrieval.ingest.plain import read_plain
from services.retrieval.ingest.split import split
from tests.unit.retrieval.test_split import quoted


def html(page: str) -> Extract:
    return read_html(page.encode())


def markdown(text: str) -> Extract:
    return read_markdown(text.encode())


def plain(text: str) -> Extract:
    return read_plain(text.encode())


def text_of(extract: Extract) -> str:
    return lay_out(extract.blocks)[0]


def quotes(extract: Extract) -> list[str]:
    return quoted(*split(extract.blocks, 2000))


def kinds(extract: Extract) -> list[Kind]:
    return [block.kind for block in extract.blocks]


class TestHtml:
    def test_is_read_block_by_block(self) -> None:
        extract = html("""<html><head><title> A &amp; B </title><style>x</style></head><body><!-- no -->
            <h1>One <i>two</i></h1><p>Some  <b>bo</b>ld<br>text</p><ul><li>a</li><li>b</li></ul>
            <pre>x\n  y</pre><script>no()</script>tail</body></html>""")
        assert extract.title == "A & B"
        assert text_of(extract) == "One two\n\nSome bold\ntext\n\n- a\n- b\n\n```\nx\n  y\n```\n\ntail"

    @pytest.mark.parametrize(
        ("line", "read"),
        [
            ("<del>30</del><ins>25</ins> kr, <s>now</s> <strike>x</strike>then", "25 kr, then"),
            ("10<sup>6</sup> W/m<sup>2</sup>, x<sup>n</sup>, 10<sup>-6</sup>", "10^6 W/m^2, x^n, 10^-6"),
            ("1<sup>1</sup>/<sub>2</sub> m, <sup>3</sup>/<sub>4</sub> in", "1 1/2 m, 3/4 in"),
            ("1<sup>st</sup> M<sup>me</sup> 30<sup>*</sup>", "1st Mme 30*"),
            ("H<sub>2</sub>O, 10<sub>2</sub>, V<sub>max</sub>", "H2O, 10_2, V_max"),
            ('alders<sup><a href="#n1">1</a></sup>, reeds<a epub:type="noteref" href="#n2">2</a>', "alders, reeds"),
            ('a<sup class="reference">[1]</sup>, b<a href="#f"><sup>2</sup></a>', "a, b"),
            ("the note<sup>3</sup> here.<sup>4</sup>", "the note [3] here. [4]"),
        ],
    )
    def test_marks_within_a_line(self, line: str, read: str) -> None:
        assert text_of(html(f"<p>{line}</p>")) == read
        cells = "<table><tr><th>A</th><th>B</th></tr><tr><td>x</td><td>{}</td></tr></table>"
        assert text_of(html(cells.format(line))) == f"A: x; B: {read}"

    def test_lists_have_the_numbers_that_they_say(self) -> None:
        page = "<ol start=3><li>A is one.<li>B is one.<li value=7>C is one.<li>D is one.</ol>"
        page += "<ol start=x><li>E is one.</ol>"
        numbers = [line.partition(" ")[0] for line in text_of(html(page)).split() if line[0].isdigit()]
        assert numbers == ["3.", "4.", "7.", "8.", "1."]

    def test_headings_are_where_they_say(self) -> None:
        extract = html("<p>intro</p><h1>First</h1><p>x</p><div><h3><a href=#>Third</a></h3></div><h2></h2>")
        headings = [(block.level, block.title) for block in extract.blocks if block.kind is Kind.HEADING]
        assert headings == [(1, "First"), (3, "Third")]
        assert extract.title == "First"

    @pytest.mark.parametrize(
        ("page", "text"),
        [
            ("", ""),
            ("<", "<"),
            ("<p", ""),
            ("text", "text"),
            ("<b></p></b><td>x", "x"),
            ("<html><frameset></html>", ""),
            ("<li>a<li>b", "a\n\nb"),
            ("<dd>a</dd><dt>b<dl><dt>c</dl>", "a\n\nb c"),
            ("<h1><p>a</p><ul><li>b</ul></h1>", "a b"),
            ("<ul><ul><li>a</ul></ul>", "  - a"),
        ],
    )
    def test_any_markup_is_read(self, page: str, text: str) -> None:
        assert text_of(html(page)) == text

    @pytest.mark.parametrize(
        ("declared", "encoding", "text"),
        [
            ("iso-8859-1", "windows-1252", "Café – 5 €"),
            ("GB2312", "gb18030", "取水口"),
            ("utf8", "utf-8", "Café"),
            ("iso-8859-1", "utf-8", "Café"),
            ("koi8-r", "koi8-r", "вода"),
        ],
    )
    def test_a_declared_encoding_counts(self, declared: str, encoding: str, text: str) -> None:
        for head in (f"<meta charset={declared}>", f'<meta http-equiv=x content="text/html; charset={declared}">'):
            assert text_of(read_html(f"{head}<p>{text}</p>".encode(encoding))) == text

    @pytest.mark.parametrize("declared", ["idna", "x-user-defined", "utf-8", "big5"])
    def test_bytes_in_another_encoding_than_they_declare_are_refused(self, declared: str) -> None:
        with pytest.raises((DocumentUnreadable, EncodingUnknown), match=r"not? valid"):
            read_html(f"<meta charset={declared}>".encode() + b"<p>\xff\xfe")

    def test_rows_are_read_with_their_headers(self) -> None:
        page = """<table><caption>Prices</caption><tr><th>Part<th>Price<tr><td>Seal<td>two crowns.<tr><td>Pump<td>
            <p>ten</p></table>"""
        assert quotes(html(page)) == ["Prices", "Part: Seal; Price: two crowns.", "Part: Pump; Price: ten"]

    @pytest.mark.parametrize(
        ("rows", "read"),
        [
            (
                "<tr><th rowspan=2>Part<th colspan=2>Price<tr><th>EUR<th>USD<tr><td>Seal<td>10<td>12",
                ["Part: Seal; Price EUR: 10; Price USD: 12"],
            ),
            (
                "<tr><th>Part<th>Size<th>Price<tr><td rowspan=2>Seal<td>S<td>1<tr><td>L<td>2",
                ["Part: Seal; Size: S; Price: 1", "Part: Seal; Size: L; Price: 2"],
            ),
            ("<tr><th>Part<th>EUR<th>USD<tr><td>Seal<td colspan=2>on request", ["Part: Seal; EUR, USD: on request"]),
            (
                "<tr><th>Part<th>Price<tr><th colspan=2>Kitchen<tr><td>Blender<td>9"
                "<tr><th colspan=2>Garden<tr><td>Hose<td>7",
                ["Kitchen; Part: Blender; Price: 9", "Garden; Part: Hose; Price: 7"],
            ),
            ("<tr><th>Weight<td>3 kg<tr><th>Power<td>40 W", ["Weight: 3 kg", "Power: 40 W"]),
            ("<tr><th><th>A<th>B<tr><th>Mass<td>1<td>2", ["Mass; A: 1; B: 2"]),
            ("<tr><td>Model<td>Mass<tr><td>X<td>3<tr><td>Y<td>5", ["Model: X; Mass: 3", "Model: Y; Mass: 5"]),
            ("<tr><td>a | b<td>c<td>d", ["a | b: c; d"]),
            ("<tr><th>A<th>B<tr><td><td>2", ["B: 2"]),
            ("<tr><th>A<th>B", ["A; B"]),
            ("<tr><th>A<th>B<tr><td rowspan=99999999>1<td colspan=99999999>2<tr><td>3", ["A: 1; B: 2", "A: 1; B: 3"]),
            ("<tr><th>A<th>B<tr><td rowspan=x>1<td colspan=-1>2", ["A: 1; B: 2"]),
            ("<tr><td>a<script>x</script><td>b", ["a: b"]),
            ("<tr><th>Code<th>Does<tr><td>x<td><ul><li>one<li>two</ul>", ["Code: x; Does: one; two"]),
        ],
    )
    def test_tables(self, rows: str, read: list[str]) -> None:
        assert quotes(html(f"<table>{rows}</table>")) == read

    @pytest.mark.parametrize(
        ("page", "read"),
        [
            ("<table><tr><td><p>Laid out.<p>By it.<td>Here.</table>", ["Laid out.", "By it.", "Here."]),
            ("<table><tr><td>One cell.</table>", ["One cell."]),
            ("<table><tr><td>a<table><tr><td>b<td>c</table><td>d</table>", ["a", "b: c", "d"]),
            ("<table role=presentation><tr><th>a<th>b<tr><td>c<td>d</table>", ["a", "b", "c", "d"]),
            ("<table><tr><td><h2>x</h2>one<td>two</table>", ["one", "two"]),
        ],
    )
    def test_tables_that_a_page_is_laid_out_by_are_none(self, page: str, read: list[str]) -> None:
        assert quotes(html(page)) == read

    def test_the_rest_of_a_long_row_is_read_after_its_key(self) -> None:
        long = "It says something that is long enough. " * 12
        found = quotes(html(f"<table><tr><th>Option<th>Does<tr><td>--wait<td>{long}The default is 30.</table>"))
        assert found[0].startswith("Option: --wait; Does: It says")
        assert found[-1] == "--wait: The default is 30."

    def test_an_item_is_read_after_those_above_it(self) -> None:
        page = """<ul><li>Colours<ol><li>Warm<ul><li>Red is sold in the first of the series, and in no other one of
            them.</ul><li>Cold</ol><li>Sizes</ul>"""
        assert quotes(html(page)) == [
            "Colours",
            "Colours: Warm",
            "Colours: Warm: Red is sold in the first of the series, and in no other one of them.",
            "Colours: Cold",
            "Sizes",
        ]

    def test_an_enumeration_is_one_quote_with_what_introduces_it(self) -> None:
        page = "<p>They came. You can pay by:</p><ul><li>card<li>invoice</ul><p>Later.</p>"
        assert quotes(html(page)) == ["They came.", "You can pay by:\n\n- card\n- invoice", "Later."]

    def test_a_term_is_read_before_what_it_means(self) -> None:
        long = "Sets how long it waits for an answer of the other side, in seconds. " * 5
        page = f"<dl><dt>-t<dt>--timeout<dd><p>{long}<p>The default is 30.<dt>-v<dd>Says more.<dt>-x</dl>"
        found = quotes(html(page))
        assert found[0].startswith("-t, --timeout: Sets how long")
        assert found[-3:] == ["-t, --timeout: The default is 30.", "-v: Says more.", "-x"]

    def test_a_term_of_a_list_is_read_before_its_items(self) -> None:
        page = "<dl><dt>Wood<dd><ul><li>Oak is hard.<li>Pine is soft.</ul></dl>"
        assert quotes(html(page)) == ["Wood: Oak is hard.", "Wood: Pine is soft."]

    def test_code_is_quoted_whole_with_what_introduces_it(self) -> None:
        page = "<p>It is easy. Install it with:</p><pre>pip install x\nx --start</pre><p>Done.</p>"
        assert quotes(html(page)) == [
            "It is easy.",
            "Install it with:\n\n```\npip install x\nx --start\n```",
            "Done.",
        ]
        assert quotes(html(f"<p>See.</p><pre>{'x = 1 ' * 200}</pre>")) == ["See."]

    def test_what_leads_around_is_left_out(self) -> None:
        links = "".join(f"<li><a href=/{n}>Chapter {n}</a></li>" for n in range(6))
        page = f"""<nav>Home</nav><div class="navheader">Prev Next</div><ul>{links}</ul><p hidden>old</p>
            <h2>Pumps<a class=headerlink href=#p>¶</a></h2><p>They need power.</p><div role=navigation>Up</div>"""
        assert text_of(html(page)) == "Pumps\n\nThey need power."
        assert text_of(html(f"<h1>Index</h1><ul>{links}</ul>")).startswith("Index\n\n- Chapter 0\n- Chapter 1")

    def test_a_long_preformatted_text_is_no_code(self) -> None:
        page = f"<pre>1. Introduction\n\n{'Some words of a text. ' * 100}\n\n   o  an item\n</pre>"
        assert kinds(html(page)) == [Kind.HEADING, Kind.TEXT, Kind.LIST]


class TestMarkdown:
    def test_blocks(self) -> None:
        extract = markdown("""# Pumps `x`

Pumps move water.
They need power.

```sh
pump --start  # starts it
```

1. Open the valve.
2. Close
   the drain.

| part | price |
| --- | --- |
| `seal` | two crowns |
| a \\| b | |

Underlined
==========
The end.
""")
        assert extract.title == "Pumps x"
        assert quotes(extract) == [
            "Pumps move water.",
            "They need power.\n\n```sh\npump --start  # starts it\n```",
            "Open the valve.",
            "Close\nthe drain.",
            "part: `seal`; price: two crowns",
            "part: a | b",
            "The end.",
        ]

    def test_what_only_refers_is_no_sentence(self) -> None:
        extract = markdown("It runs. See [more](c.md). As told in\nthe [guide](g.md). [Bare](d.md): and so on.")
        assert quotes(extract) == ["It runs.", "As told in\nthe [guide](g.md).", "and so on."]

    @pytest.mark.parametrize(
        ("line", "read"),
        [
            ("~~Old: 5 bar~~ New: ~~6~~7 bar.", "New: 7 bar."),
            ("a <del>30</del><ins>25</ins> kr", "a 25 kr"),
            ("10<sup>6</sup>, H<sub>2</sub>O, note<sup>[1](#n)</sup>", "10^6, H2O, note"),
            ("Cost \\$5 &amp; &lt;b&gt;", "Cost \\$5 & <b>"),
            ("`&amp; ~~x~~` \\~~no~~ ~/a and ~/b", "`&amp; ~~x~~` \\~~no~~ ~/a and ~/b"),
        ],
    )
    def test_marks_within_a_line(self, line: str, read: str) -> None:
        assert text_of(markdown(line)) == read
        assert text_of(markdown(f"A|B\n-|-\nx|{line}")) == f"A: x; B: {read}"

    def test_tables_in_html(self) -> None:
        row = "<tr><td>8443</td><td>TLS</td></tr>"
        table = f"<table><tr><th>Port</th><th>Use</th></tr>{row}"
        assert text_of(markdown(f"{table}</table>\n\nEnd.")) == "Port: 8443; Use: TLS\n\nEnd."
        apart = f"{table}\n\n    {row}\n\n{row}\n</table>\n\nEnd."
        assert text_of(markdown(f"{table}\n\n- x\n- y\n\n</table>\n\n- z")).endswith("Port: 8443; Use: TLS\n\n- z")
        assert text_of(markdown(apart)) == "\n".join(["Port: 8443; Use: TLS"] * 3) + "\n\nEnd."
        assert text_of(markdown(f"- item\n\n  {table}</table>\n")) == "- item\n\nPort: 8443; Use: TLS"
        assert text_of(markdown("<table>\n\nnever *closed*\n")) == "never *closed*"

    def test_badges_comments_and_the_own_contents_are_left_out(self) -> None:
        extract = markdown("""[![Build](https://x/b.svg)](https://x) ![Logo](l.png)

<!-- not
this -->

<p align="center">
Centred words.
</p>

- [Install](#install)
- [Use](#use)

# Install

Do it.
""")
        assert text_of(extract) == "Centred words.\n\n# Install\n\nDo it."

    def test_definitions(self) -> None:
        assert quotes(markdown("Apple\n: A fruit.\n\nOther text.")) == ["Apple: A fruit.", "Other text."]

    def test_nested_items_keep_their_parents(self) -> None:
        extract = markdown("- Colours\n  - Red is warm.\n  - Blue is not.\n\n    Nor is green.\n- Sizes\n")
        assert quotes(extract) == [
            "Colours",
            "Colours: Red is warm.",
            "Colours: Blue is not.",
            "Colours: Blue is not: Nor is green.",
            "Sizes",
        ]
        assert text_of(extract) == ("- Colours\n  - Red is warm.\n  - Blue is not.\nNor is green.\n- Sizes")

    def test_titles(self) -> None:
        assert markdown("text\n\n## Second ##\n\n# First").title == "Second"
        assert markdown("no heading").title == ""
        assert markdown("- item\n---\ntext").title == ""


MAN_PAGE = """\
PUMP(1)                          User Commands                         PUMP(1)

NAME
       pump - moves water

SYNOPSIS
       pump [-v] FILE...
              [--start]

OPTIONS
   Common options
       -t, --timeout=SECONDS
              How long it waits. The default
              is 30.

              A second paragraph.

       -v     Say more.
       -a
       --all
              Take all of them.
       --port=PORT   the port,
                     which is 873

EXAMPLES
       Some of them:

           pump -v | less

       o      The first point, which is a sentence of its own.

       o      The second one.

pump 1.0                          2024-01-01                           PUMP(1)
"""


class TestPlain:
    def test_a_man_page(self) -> None:
        extract = plain(MAN_PAGE)
        assert extract.title == "PUMP(1)"
        text, pieces = split(extract.blocks, 2000)
        assert [piece.headings for piece in pieces] == [
            ("NAME",), ("SYNOPSIS",), ("OPTIONS", "Common options"), ("EXAMPLES",)
        ]  # fmt: skip
        assert quoted(text, pieces) == [
            "pump - moves water",
            "```\npump [-v] FILE...\n       [--start]\n```",
            "-t, --timeout=SECONDS: How long it waits. The default\nis 30.",
            "-t, --timeout=SECONDS: A second paragraph.",
            "-v: Say more.",
            "-a, --all: Take all of them.",
            "--port=PORT: the port,\nwhich is 873",
            "Some of them:\n\n```\npump -v | less\n```",
            "The first point, which is a sentence of its own.",
            "The second one.",
        ]

    def test_headings(self) -> None:
        extract = plain("Pumps\n=====\n\nOne.\n\n1.2 Seals\n\nTwo.\n\nLEGAL NOTICE\n\nThree.\n\nSmall\n-----\nFour.")
        headings = [(block.level, block.title) for block in extract.blocks if block.kind is Kind.HEADING]
        assert headings == [(1, "Pumps"), (2, "1.2 Seals"), (1, "LEGAL NOTICE"), (2, "Small")]
        assert extract.title == "Pumps"

    def test_fields_are_read_one_by_one(self) -> None:
        extract = plain("Package: pump\nVersion: 1.2\nDescription: moves\n water about\nSection: misc")
        assert quotes(extract) == ["Package: pump", "Version: 1.2", "Description: moves\nwater about", "Section: misc"]

    def test_indented_code(self) -> None:
        extract = plain("Start it so:\n\n    pump --start && less\n      more\n\nIt runs.")
        assert quotes(extract) == ["Start it so:\n\n```\npump --start && less\n  more\n```", "It runs."]

    def test_an_indented_sentence_is_no_code(self) -> None:
        assert kinds(plain("He said this.\n\n      Water flows down, as all of us know by now.")) == [Kind.TEXT] * 2

    def test_terms_that_stand_out(self) -> None:
        extract = plain("Weir\n    A low dam across a river.\nSluice\n    A gate for water.")
        assert quotes(extract) == ["Weir: A low dam across a river.", "Sluice: A gate for water."]

    def test_items(self) -> None:
        extract = plain(
            "Do this:\n - open the valve, and wait until the water has come\n   down to you\n - then close it."
        )
        assert quotes(extract) == [
            "Do this:",
            "Do this: open the valve, and wait until the water has come\ndown to you",
            "then close it.",
        ]

    def test_a_paragraph_stays_as_it_is(self) -> None:
        text = "Water flows. It does so: always.\nNobody knows why - or when."
        assert text_of(plain(text)) == text
