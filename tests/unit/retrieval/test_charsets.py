"""Encodings of texts: declared, detected, refused."""

import pytest

from services.retrieval.errors import DocumentUnreadable, EncodingUnknown
from services.retrieval.ingest.charsets import detect
from services.retrieval.ingest.html import read_html
from services.retrieval.ingest.text import decode
from services.runtime.language.encodings import codec_of

FRENCH = "Le café est très bon à l’été. La garantie dure deux ans, et elle ne couvre pas les défauts dus à l’usure."
GERMAN = "Die Gewährleistung beträgt zwei Jahre und gilt nicht für Schäden, die durch falsche Nutzung entstehen."
TEXTS = {
    "cp1252": FRENCH,
    "cp1250": "Rzeczpospolita Polska jest państwem położonym w Europie, a językiem urzędowym jest język polski.",
    "cp1251": "Гарантия действует два года со дня покупки и не покрывает повреждения от неправильного использования.",
    "koi8_r": "Гарантия действует два года со дня покупки и не покрывает повреждения от неправильного использования.",
    "cp866": "Гарантия действует два года со дня покупки и не покрывает повреждения от неправильного использования.",
    "cp1253": "Η εγγύηση διαρκεί δύο χρόνια από την ημερομηνία αγοράς. Δεν καλύπτει ζημιές από κακή χρήση.",
    "cp1254": "Türkiye bir ülkedir ve başkenti Ankara’dır. Şimdi bu ürün için garanti iki yıl olarak verilir.",
    "cp1255": "האחריות נמשכת שנתיים מיום הרכישה. היא אינה מכסה נזק שנגרם משימוש לא נכון במוצר הזה.",
    "cp1256": "الضمان يسري لمدة عامين من تاريخ الشراء ولا يغطي الأضرار الناتجة عن سوء الاستخدام",
    "cp874": "การรับประกันมีอายุสองปีนับจากวันที่ซื้อ และไม่ครอบคลุมความเสียหายจากการใช้งานผิดวิธี",
    "gb18030": "保修期为自购买之日起两年。不包括因使用不当而造成的损坏，也不包括我们没有说过的事情。",
    "big5": "保固期為自購買之日起兩年。不包括因使用不當而造成的損壞，也不包括我們沒有說過的事情。",
    "cp932": "保証期間はお買い上げの日から二年間です。誤った使い方による故障は保証の対象になりません。",
    "euc_jp": "保証期間はお買い上げの日から二年間です。誤った使い方による故障は保証の対象になりません。",
    "cp949": "보증 기간은 구입일로부터 이 년입니다. 잘못된 사용으로 인한 고장은 보증되지 않습니다.",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_language_tells_its_encoding(encoding: str) -> None:
    data = TEXTS[encoding].encode(encoding)
    assert detect(data) == encoding
    assert decode(data).text == TEXTS[encoding]


def test_a_character_that_the_sample_cuts_does_not_matter() -> None:
    assert detect(TEXTS["gb18030"].encode("gb18030")[:-1]) == "gb18030"


@pytest.mark.parametrize(
    "data",
    [
        b"caf\xe9",
        "Der Preis beträgt 5 €".encode("cp1252"),
        GERMAN.encode("cp850"),
        FRENCH.replace("’", "'").encode("mac_roman"),
        "Bảo hành kéo dài hai năm kể từ ngày mua hàng".encode("cp1258", "ignore"),
        bytes(range(128, 256)) * 4,
    ],
)
def test_what_is_unsure_is_refused(data: bytes) -> None:
    with pytest.raises(EncodingUnknown, match="UTF-8"):
        detect(data)


@pytest.mark.parametrize(
    "page",
    [
        '<meta charset="{}"><p>{}</p>',
        '<meta http-equiv="Content-Type" content="text/html; charset={}"><p>{}</p>',
        '<?xml version="1.0" encoding="{}"?><html><body><p>{}</p></body></html>',
    ],
)
def test_a_page_is_read_in_the_charset_that_it_declares(page: str) -> None:
    extract = read_html(page.format("ISO-8859-1", "Café").encode("cp1252"))
    assert (extract.blocks[0].text, extract.encoding) == ("Café", "cp1252")
    assert read_html(page.format("iso-2022-jp", "水").encode("iso-2022-jp")).blocks[0].text == "水"


def test_utf8_is_utf8_whatever_is_declared() -> None:
    assert read_html("<meta charset=iso-8859-1><p>Café</p>".encode()).blocks[0].text == "Café"


def test_what_is_not_in_the_declared_encoding_is_refused() -> None:
    with pytest.raises(DocumentUnreadable, match="not valid CP932 at byte 27, which it says it is: save it as UTF-8"):
        read_html(b"<meta charset=shift_jis><p>\x81\x20</p>")


def test_what_is_not_in_the_encoding_of_its_mark_is_refused() -> None:
    with pytest.raises(DocumentUnreadable, match="which its byte order mark says it is: save it as UTF-8, or convert"):
        decode(b"\xef\xbb\xbfcaf\xe9")


@pytest.mark.parametrize(
    "name", ["zip", "hex", "rot13", "no-such", "undefined", "unicode_escape", "utf-7", "x" * 50, ""]
)
def test_what_is_no_encoding_of_texts_is_none(name: str) -> None:
    assert codec_of(name) == ""
