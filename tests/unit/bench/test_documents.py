import fnmatch
import gzip
from collections import Counter
from pathlib import Path

import pytest

from bench.documents import asking, codes, corpus, manuals, questions, results, small
from bench.documents.corpus import Document, Selected
from bench.documents.judge import Verdict, judge
from bench.documents.packages import Packages
from bench.documents.questions import Question
from bench.documents.wording import holds
from bench.kit import BenchError
from bench.load.rpc import Passage, Quote, RunAnswer

ASKED = Question("How many?", "en", "limit", ("manual",), ("64 tables",))


@pytest.mark.parametrize(
    ("text", "answer", "held"),
    [
        ("joins of at most 64\n  tables", "64 tables", True),
        ("The Default is ‘10’", "default is '10'", True),
        ("the limit is 1000", "100", False),
        ("version 1.100", "100", False),
        ("costs 1,100", "100", False),
        ("costs 100.", "100", True),
        ("unlimitedly", "unlimited", False),
        ("目前 允许 8 个\n  交换区", "个交换区", True),
        ("默认值是16", "默认值是16", True),
        ("zwischen −1 und 32767", "-1 und 32767", True),
        ("--head\n  Fetch the headers only!", "--head … headers only", True),
        ("--head" + "x" * 300 + "headers only", "--head … headers only", False),
        ("headers only with --head", "--head … headers only", False),
    ],
)
def test_a_text_holds_an_answer(text: str, answer: str, held: bool) -> None:
    assert holds(text, ["something else", answer]) is held


def passage(name: str, document: str, text: str, heading: str = "Limits") -> Passage:
    return Passage(name, document, (heading,), text)


RIGHT = passage("p1", "manual", "There may be 64 tables.")
SAME_SECTION = passage("p2", "manual", "More on it.")
OTHER_SECTION = passage("p3", "manual", "Of other things.", "History")
OTHER_DOCUMENT = passage("p4", "other", "There may be 64 tables.")
MANUAL = [RIGHT, SAME_SECTION, OTHER_SECTION]


def run(*quoted: Passage) -> RunAnswer:
    return RunAnswer(tuple(Quote(one.text, one.document_id, one.id) for one in quoted), declined=not quoted)


def test_a_passage_answers_by_its_document_and_its_text() -> None:
    verdict = judge(ASKED, [OTHER_DOCUMENT, SAME_SECTION, RIGHT], run(RIGHT), MANUAL)
    assert (verdict.rank, verdict.first_passage) == (3, True)
    assert (verdict.first_quote, verdict.any_quote, verdict.declined) == (True, True, False)
    lost = judge(ASKED, [SAME_SECTION], run(), MANUAL)
    assert (lost.rank, lost.first_passage, lost.any_quote, lost.declined) == (0, False, False, True)
    assert not judge(ASKED, [], run(OTHER_DOCUMENT), MANUAL).any_quote


@pytest.mark.parametrize(
    ("second", "wrong"),
    [(RIGHT, False), (SAME_SECTION, False), (OTHER_SECTION, True), (OTHER_DOCUMENT, False)],
    ids=["answer", "same section", "other section", "answer of another document"],
)
def test_a_second_quote_is_wrong(second: Passage, wrong: bool) -> None:
    verdict = judge(ASKED, [], run(RIGHT, second), MANUAL)
    assert (verdict.second_given, verdict.second_wrong) == (True, wrong)


def test_a_second_quote_of_another_document_that_holds_no_answer_is_wrong() -> None:
    assert judge(ASKED, [], run(RIGHT, passage("p5", "other", "Nothing.")), MANUAL).second_wrong
    assert not judge(ASKED, [], run(passage("p5", "other", "Nothing.")), MANUAL).second_wrong


def test_the_committed_questions_are_as_many_and_various_as_promised() -> None:
    asked, unanswered = questions.answered(), questions.unanswered()
    languages, kinds = Counter(one.language for one in asked), Counter(one.kind for one in asked)
    assert len(asked) >= 120
    assert len(unanswered) == 40
    assert min(languages["de"], languages["zh"], kinds["limit"]) >= 15
    assert kinds["option"] >= 10
    assert all(one.documents and one.answers for one in asked)
    assert not any(one.documents or one.answers for one in unanswered)
    for some in (asked, unanswered):
        assert 0.25 < sum(one.held for one in some) / len(some) < 0.45


def test_every_question_is_on_a_document_that_is_selected() -> None:
    patterns = [f"{one.package}/{file}" for one in corpus.selection() for file in one.files]
    named = {document for one in questions.answered() for document in one.documents}
    assert not [name for name in named if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def test_held_apart_is_a_question_by_its_text_alone() -> None:
    assert [number for number in range(13) if Question(f"question {number}", "en", "fact").held] == [4, 6, 12]


def test_questions_whose_answer_is_gone_are_told_apart() -> None:
    other = Question("And now?", "en", "fact", ("gone", "manual"), ("no more",))
    assert questions.present([ASKED, other], {"manual": "of 64 tables"}) == ([ASKED], [other])


@pytest.mark.parametrize("text", ["{}", "- {kind: fact}", "- [", "- {question: a}\n- {question: a}"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "en.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(BenchError, match=r"en\.yaml"):
        questions.read(file, "en")


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """Two unpacked packages, one with a man page that was rendered before."""
    packages = Packages(tmp_path)
    doc = packages.folder("tool") / "usr/share/doc/tool"
    (doc / "html").mkdir(parents=True)
    (doc / "html/a.html").write_text("<table><tr><td>Rows</td><td>10</td></tr></table>end<style>x</style>", "utf-8")
    (doc / "README.md.gz").write_bytes(gzip.compress(b"# Tool"))
    man = packages.folder("pages") / "usr/share/man/man1"
    man.mkdir(parents=True)
    (man / "tool.1.gz").write_bytes(gzip.compress(b".TH TOOL 1"))
    packages.texts("pages").mkdir(parents=True)
    (packages.texts("pages") / "tool.1.gz.txt").write_bytes(b"TOOL(1)")
    return packages


def test_documents_are_named_by_package_and_file(packages: Packages) -> None:
    selected = [
        Selected("tool", "text", "en", "usr/share/doc/tool", ("README*", "NEWS")),
        Selected("tool", "html", "en", "usr/share/doc/tool", ("html/*.html",)),
        Selected("pages", "man", "de", "usr/share/man", ("man1/tool.1",)),
    ]
    reported: list[str] = []
    documents = corpus.load(selected, packages, reported.append)
    assert [(one.id, one.media_type, one.language) for one in documents] == [
        ("pages/man1/tool.1", "text/plain", "de"),
        ("tool/README.md", "text/markdown", "en"),
        ("tool/html/a.html", "text/html", "en"),
    ]
    assert [one.content for one in documents[:2]] == [b"TOOL(1)", b"# Tool"]
    assert reported == ["no longer in tool: usr/share/doc/tool/NEWS"]


def test_cells_of_a_table_are_words_of_their_own(packages: Packages) -> None:
    [document] = corpus.load([Selected("tool", "html", "en", "usr/share/doc/tool", ("html/*",))], packages, print)
    assert corpus.plain_text(document).split() == ["Rows", "10", "end"]
    assert corpus.plain_text(Document("a", "text", "en", "größer".encode())) == "größer"


def test_codes_stand_each_in_one_passage() -> None:
    texts = [f"This is passage {number}. It goes on. And on." for number in range(70)]
    made = codes.documents(texts)
    assert len(set(codes.codes())) == codes.COUNT == len(codes.questions())
    assert len(made) == len(texts)
    for question, code in zip(codes.questions(), codes.codes(), strict=True):
        assert code in question.text
        assert [document.id for document in made if holds(str(document.text), [code])] == list(question.documents)
    assert made == codes.documents(texts)


def test_manuals_differ_in_product_and_number_alone() -> None:
    texts = [str(document.text) for document in manuals.documents()]
    for question, text in zip(manuals.questions(), texts, strict=True):
        assert holds(text, question.answers)
        assert not holds(text, manuals.others(question))
    assert len({len(text.splitlines()) for text in texts}) == 1


def test_answers_stand_in_the_tables() -> None:
    for question in questions.read(small.FOLDER / "questions.yaml", "en"):
        assert all(holds((small.FOLDER / name).read_text("utf-8"), question.answers) for name in question.documents)


def test_figures_are_shares_by_part_and_group() -> None:
    tuned, held = (Question(f"question {number}", "en", "fact", ("gone", "a"), ("x",)) for number in (0, 4))
    verdicts = [Verdict(tuned, rank=1, any_quote=True), Verdict(tuned, rank=3), Verdict(held, declined=True)]
    first, second = results.tables(verdicts, {"a": "html"})
    assert [name for name, _ in first.rows] == ["all", "en", "asks for: fact", "in: html"]
    figures = dict(zip(first.columns[1:], first.rows[0][1], strict=True))
    assert (figures[results.QUESTIONS], figures[results.HIT1], figures[results.HIT3]) == (2, 0.5, 1)
    assert figures[results.QUOTES] == 0.5
    assert dict(zip(second.columns[1:], second.rows[0][1], strict=True))[results.DECLINED] == 1
    missed = {goal.name for goal in results.goals(verdicts, [Verdict(held, declined=True)]) if not goal.met}
    assert missed == {f"held apart: {name}" for name in ("hit@1", "hit@3", "in a quote", "declined")}


class Broken:
    """A call that is broken off so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def __call__(self) -> str:
        self.times -= 1
        if self.times >= 0:
            raise BenchError("broken off")
        return "done"


async def test_what_is_broken_off_is_called_again() -> None:
    assert await asking.again(Broken(asking.TRIES - 1), pause=0) == "done"
    with pytest.raises(BenchError, match="broken off"):
        await asking.again(Broken(asking.TRIES), pause=0)
