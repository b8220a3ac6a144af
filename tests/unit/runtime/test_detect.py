"""Languages told by letters and function words."""

import pytest

from services.runtime.language.detect import UNKNOWN, language_of


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Who built the weir?", "en"),
        ("How many gates does it have", "en"),
        ("Who was Gödel?", "en"),
        ("Wer hat das Wehr gebaut?", "de"),
        ("Wie viele Tore hat es", "de"),
        ("¿Quién construyó la presa?", "es"),
        ("cuantos años tiene la presa", "es"),
        ("Qui a construit le barrage ?", "fr"),
        ("Chi ha costruito la diga?", "it"),
        ("Quem construiu a barragem?", "pt"),
        ("Wie heeft de dam gebouwd?", "nl"),
        ("Kto zbudował tę zaporę?", "pl"),
        ("Barajı kim inşa etti?", "tr"),
        ("Ai đã xây dựng con đập?", "vi"),
        ("谁建造了水坝？", "zh"),
        ("ダムはいつ建設されましたか", "ja"),
        ("댐은 언제 지어졌습니까", "ko"),
        ("Кто построил Hoover Dam?", "ru"),
        ("من بنى السد؟", "ar"),
        ("बाँध किसने बनाया?", "hi"),
        ("ใครสร้างเขื่อน", "th"),
    ],
)
def test_questions_have_a_language(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "?", "1907", "outlier ejection", "WF-M5799", "Gödel", "El Niño effects", "weir"])
def test_names_and_keywords_have_none(text: str) -> None:
    assert language_of(text) == UNKNOWN
