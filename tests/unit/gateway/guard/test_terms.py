"""Terms: disguises, edges of words, and lists of a hundred thousand."""

import random
import time
from pathlib import Path

import pytest

from gateway.guard.specs import TermsSpec
from gateway.guard.terms.automaton import LONGEST, Automaton
from gateway.guard.terms.detector import Terms
from gateway.guard.terms.library import Library
from gateway.guard.terms.lists import BadTerms, read_list
from tests.unit.gateway.guard.scans import found, held

LISTED = ["badword", "kill", "敏感词", "敏感词汇表", "c4", "two words", "naïve", "запрет", "ass", "l33t"]
DETECTOR = Terms(Automaton((term, "topic") for term in LISTED), disguised=True)
PLAINLY = Terms(Automaton((term, "topic") for term in LISTED), disguised=False)

HITS = [
    ("a badword here", "badword"), ("BadWord!", "BadWord"), ("ｂａｄｗｏｒｄ", "ｂａｄｗｏｒｄ"),
    ("bad\u200bword", "bad\u200bword"), ("bad\u00adword", "bad\u00adword"), ("b4dw0rd", "b4dw0rd"),
    ("b@dword", "b@dword"), ("bаdwоrd", "bаdwоrd"), ("k1ll", "k1ll"), ("ki11", "ki11"),
    ("b a d w o r d", "b a d w o r d"), ("b.a.d.w.o.r.d", "b.a.d.w.o.r.d"), ("b-a-d-w-o-r-d", "b-a-d-w-o-r-d"),
    ("no k i l l now", "k i l l"), ("这是敏感词吗", "敏感词"), ("敏感词汇表", "敏感词汇表"), ("敏 感 词", "敏 感 词"),
    ("敏*感*词", "敏*感*词"), ("敏\u200b感词", "敏\u200b感词"), ("c4", "c4"), ("two words", "two words"),
    ("naive", "naive"), ("NAI\u0308VE", "NAI\u0308VE"), ("ЗАПРЕТ", "ЗАПРЕТ"), ("我badword你", "badword"),
    ("l33t", "l33t"),
    *[(f"two{sign}words", f"two{sign}words") for sign in ("-", "/", "_", ".", "\n", "\r\n", "\t", "\u2010", "\u00a0")],
]  # fmt: skip

NEAR = [
    "badwordy", "abadword", "skill", "killed", "classic", "ca", "c 4 4", "敏感", "敏，感，词", "敏感的词",
    "two  words", "bad word", "1 2 3 4", "455", "asses", "", "   ", "leet",
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), HITS)
def test_what_it_is(text: str, words: str) -> None:
    assert found(DETECTOR, text) == [("topic", words)]


@pytest.mark.parametrize("text", NEAR)
def test_what_only_looks_like_it(text: str) -> None:
    assert found(DETECTOR, text) == []


def test_drawn_out_words_count_only_where_that_is_set() -> None:
    assert found(PLAINLY, "敏 感 词 and b a d w o r d") == []


def test_terms_within_a_longer_one_that_is_none_are_seen() -> None:
    detector = Terms(Automaton([("ex bad", "x"), ("bad", "y")]), disguised=False)
    assert found(detector, "sex bad") == [("y", "bad")]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("good ", ""),
        ("a kil", "kil"),
        ("skil", ""),
        ("天敏感", "敏感"),
        ("two ", "two "),
        ("b a ", "b a "),
        ("今天", ""),
    ],
)
def test_only_the_beginning_of_a_term_is_held_back(text: str, back: str) -> None:
    assert held(DETECTOR, text) == back


def test_a_list_is_read_with_its_topics(tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text("# comment\nfirst\n\n[arms]\nc4\n [drugs] \nsnow\n")
    assert read_list(tmp_path, "house") == [("first", "house"), ("c4", "arms"), ("snow", "drugs")]
    spec = TermsSpec(guard="terms", stage="input", lists=("house",), topics=("arms",))
    (automaton,) = Library(tmp_path).automata(spec)
    assert found(Terms(automaton, disguised=False), "c4 and snow") == [("arms", "c4")]


def test_a_list_is_built_once_and_again_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "house.txt").write_text("one\n")
    library = Library(tmp_path)
    spec = TermsSpec(guard="terms", stage="input", lists=("house",))
    first = library.automata(spec)
    assert library.automata(spec)[0] is first[0]
    (tmp_path / "house.txt").write_text("one\ntwo\n")
    assert len(library.automata(spec)[0]) == 2


@pytest.mark.parametrize("name", ["../secret", "none", "A", ""])
def test_what_is_no_list_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadTerms):
        read_list(tmp_path, name)
    with pytest.raises(BadTerms):
        read_list(None, "house")


def test_too_long_terms_and_terms_of_signs_are_left_out() -> None:
    assert len(Automaton([("x" * (LONGEST + 1), "t"), ("...", "t"), ("", "t"), ("ok", "t")])) == 1


def test_a_hundred_thousand_terms_are_searched_in_linear_time() -> None:
    chance = random.Random(3)
    han = [chr(0x4E00 + at) for at in range(6000)]
    terms = {"".join(chance.choices(han, k=chance.randint(2, 6))) for _ in range(50_000)}
    terms |= {"".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(5, 14))) for _ in range(50_000)}
    detector = Terms(Automaton((term, "t") for term in terms), disguised=True)
    planted = chance.sample(sorted(terms), 50)
    text = "。 ".join("".join(chance.choices(han, k=200)) + " " + term + " " for term in planted)
    assert set(planted) <= {words for _, words in found(detector, text)}
    took = []
    for size in (20_000, 80_000):
        long = "".join(chance.choices([*han, " ", "a", "b"], k=size))
        began = time.thread_time()
        found(detector, long)
        took.append(time.thread_time() - began)
    assert took[1] < took[0] * 16
