"""Scripts, words and sentences."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retrieval.language.sentences import sentences
from services.retrieval.language.words import (
    WORD_AMONG_CJK,
    identifier_vector,
    passage_vector,
    query_vector,
)
from services.runtime.language.identifiers import identifiers
from services.runtime.language.script import Script, script_of
from services.runtime.language.terms import stem


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Who built the weir?", Script.LATIN),
        ("Wer hat das Wehr erbaut, und für wen?", Script.LATIN),
        ("Tiếng Việt", Script.LATIN),
        ("42?", Script.LATIN),
        ("", Script.LATIN),
        ("谁建造了水坝？", Script.CJK),
        ("ダムはいつ建設されましたか", Script.CJK),
        ("댐은 언제 지어졌습니까", Script.CJK),
        ("NASA在哪里发射了火箭？", Script.CJK),
        ("The word 水 means water", Script.LATIN),
        ("Кто построил плотину?", Script.OTHER),
        ("من بنى السد؟", Script.OTHER),
    ],
)
def test_scripts_are_told_apart(text: str, script: Script) -> None:
    assert script_of(text) is script


def overlap(query: str, passage: str) -> int:
    return len(set(query_vector(query).indices) & set(passage_vector(passage).indices))


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("बाँध कहाँ है", "यह बाँध ऊँचा है"),
        ("والكِتَاب", "كتاب جديد"),
        ("الكـــتاب", "كتاب"),
        ("أحمد", "احمد"),
        ("مدرسة", "المدرسه"),
        ("١٩٠٧", "in 1907"),
        ("เขื่อน", "สร้างเขื่อนใหญ่"),
        ("ເຂື່ອນ", "ສ້າງເຂື່ອນໃຫຍ່"),
        ("плотины", "плотиной"),
        ("construyó", "la construcción"),
        ("ایران", "ايران"),
        ("l'eau", "de l’eau"),
        ("eau", "l'eau"),
        ("đập nước", "dập nước"),
        ("WF-M5799", "the WF-M5799DWF printer"),
        ("v1.2", "fixed in 1.2.3-rc.4"),
        ("nginx.conf", "edit /etc/nginx/nginx.conf"),
        ("conn reset", "ERR_CONN_RESET"),
    ],
)
def test_what_is_written_otherwise_meets(query: str, passage: str) -> None:
    assert overlap(query, passage)


@pytest.mark.parametrize(("query", "passage"), [("हिम", "हम"), ("น้ำ", "นา"), ("theatre", "thespian")])
def test_what_only_looks_alike_does_not_meet(query: str, passage: str) -> None:
    assert not overlap(query, passage)


def test_vietnamese_accents_matter_and_may_be_left_out() -> None:
    assert overlap("nước", "nước") > overlap("nước", "nuốc") > overlap("nước", "nam")


def test_an_identifier_finds_what_holds_it_and_nothing_else() -> None:
    for text, key, found in [
        ("the WF-M5799", "WF-M5799", True),
        ("the WF-M5799DWF", "WF-M5799", True),
        ("the WF and the M5799", "WF-M5799", False),
        ("M5799DWF", "M5799", True),
        ("the M5799", "M5799", True),
        ("M57990", "M5799", False),
        ("an air force", "--force", False),
    ]:
        probe = identifier_vector(identifiers(key)[0])
        assert bool(set(probe.indices) & set(passage_vector(text).indices)) is found, text


def test_whole_finds_before_partial() -> None:
    def score(text: str) -> float:
        probe, passage = identifier_vector(identifiers("WF-M5799")[0]), passage_vector(text)
        held = dict(zip(passage.indices, passage.values, strict=True))
        return sum(held.get(index, 0) * value for index, value in zip(probe.indices, probe.values, strict=True))

    assert score("buy the WF-M5799 now") > score("buy the WF-M5799DWF now") > 0


@pytest.mark.parametrize(
    ("query", "passage", "shared"),
    [
        ("gates", "The gate opened", 1),
        ("When was it building?", "They build dams", 1),
        ("CAFÉ", "a cafe", 1),
        ("ﬁne ｗater", "fine water", 2),
        ("NASA's plan", "the NASA plans", 2),
        ("1,500 people", "1500 people", 2),
        ("the of and", "the of and", 0),
        ("水坝", "这座水坝很高", 3),
        ("什么水坝", "什么都没有", 0),
        ("ダム", "ダムの水", 3),
        ("2½ hours", "2 hours", 2),
    ],
)
def test_queries_meet_passages(query: str, passage: str, shared: int) -> None:
    assert overlap(query, passage) == shared


@pytest.mark.parametrize(
    ("word", "root"),
    [
        ("cities", "city"), ("boxes", "box"), ("dams", "dam"), ("glass", "glass"), ("stopped", "stop"),
        ("running", "run"), ("making", "mak"), ("make", "make"), ("house", "hous"), ("houses", "hous"),
        ("ring", "ring"), ("über", "über"),
        ("b52s", "b52s"), ("is", "is"), ("status", "status"),
    ],
)  # fmt: skip
def test_stems(word: str, root: str) -> None:
    assert stem(word) == root


def test_a_word_weighs_more_the_oftener_but_less_and_less() -> None:
    once, twice, often = (passage_vector("water " * count + "x " * (20 - count)).values[0] for count in (1, 2, 15))
    assert once < twice < often < 1.9
    assert often - twice < 13 * (twice - once)


def test_a_word_weighs_less_in_a_longer_passage() -> None:
    assert passage_vector("water " + "x " * 500).values[0] < passage_vector("water").values[0]


def test_a_word_of_a_query_counts_once() -> None:
    assert query_vector("water water Water").values == [1.0]


def test_a_latin_word_counts_more_among_cjk() -> None:
    assert sorted(set(query_vector("NASA的火箭").values)) == [1.0, WORD_AMONG_CJK]


def test_a_query_without_words_is_empty() -> None:
    assert query_vector("?!").indices == []


@given(st.text(max_size=300))
def test_any_text_has_a_vector(text: str) -> None:
    vector = passage_vector(text)
    assert len(vector.indices) == len(vector.values) == len(set(vector.indices))
    assert all(0 <= index < 1 << 32 for index in vector.indices)
    assert all(value > 0 for value in vector.values)


def said(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mr. A. B. Jones. They talked.", ["Dr. Smith met Mr. A. B. Jones.", "They talked."]),
        ("It cost 3.50 dollars. Cheap.", ["It cost 3.50 dollars.", "Cheap."]),
        ("He said “Go.” She went.", ["He said “Go.”", "She went."]),
        ("A fact.[12] Another.", ["A fact.[12]", "Another."]),
        ("e.g. this one", ["e.g. this one"]),
        ("水坝很高。闸门开了！对吗？", ["水坝很高。", "闸门开了！", "对吗？"]),
        ("他说：“走。”她走了。", ["他说：“走。”", "她走了。"]),
        ("Title\n\nText here", ["Title", "Text here"]),
        ("List:\n- one\n- two", ["List:", "- one", "- two"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert said(text) == expected


@given(st.text(alphabet="aB .!?\n。”[1]-", max_size=200))
def test_sentences_leave_out_nothing_but_white_space(text: str) -> None:
    end = 0
    for start, stop in sentences(text):
        assert end <= start < stop
        assert not text[end:start].strip()
        end = stop
    assert not text[end:].strip()


@pytest.mark.parametrize("unit", [".", "!”", "\n", " ", ".[1]", "a.", "\n ", "。”", "Dr. "])
def test_sentences_of_a_hostile_text_take_linear_time(unit: str) -> None:
    started = time.thread_time()
    sentences(unit * 100_000)
    assert time.thread_time() - started < 2
