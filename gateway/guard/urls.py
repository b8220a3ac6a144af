"""Which host a link leads to, as a browser (https://url.spec.whatwg.org) and a renderer of Markdown read it.

Where readers differ, a link has several hosts: all of them count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

# An authority that is longer is no host's; it is there to be overlooked.
LONGEST_AUTHORITY = 1000
_IDEOGRAPHIC_DOTS = str.maketrans("\u3002\uff61\uff0e", "...")
_SPELLED_DOT = re.compile(r"[\[({](?:\.|dot)[\])}]| dot ", re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_DELIMITER = re.compile(r"[/\\?#]")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
# The names of a host with nothing odd in them, and a port. Names in other scripts begin behind a dot only: where there
# are no spaces between words the next sentence may follow.
_SPELLED = r"[\[({](?:\.|dot)[\])}]"
_PLAIN = re.compile(
    rf"(?:\[[0-9A-Fa-f:.]{{2,45}}\]|(?:[A-Za-z0-9_~%-]|[\u00c0-\u06ff]|\.(?=[\w%])|{_SPELLED}"
    r"|(?:(?<=\.)|\A)[^\W\x00-\x7f]\w{0,62})+)(?::\d{0,5})?",
    re.IGNORECASE,
)
# Top-level domains in other scripts, as far as anyone can register below them.
_TOP = frozenset((
    "中国", "中國", "公司", "网络", "网址", "在线", "中文网", "商城", "商店", "网店", "集团", "我爱你", "移动",
    "手机", "企业", "娱乐", "游戏", "时尚", "信息", "购物", "餐厅", "公益", "政务", "世界", "网站", "香港", "台湾",
    "台灣", "新加坡", "澳門", "佛山", "广东", "八卦", "健康", "招聘", "机构", "组织机构", "大拿", "天主教", "慈善",
    "书籍", "食品", "新闻", "嘉里", "みんな", "クラウド", "グーグル", "コム", "セール", "ストア", "ファッション",
    "ポイント", "닷넷", "닷컴", "삼성", "한국", "рф", "рус", "онлайн", "сайт", "орг", "дети", "москва", "укр",
    "бел", "мкд", "срб", "қаз", "мон", "бг", "ею", "ком", "قطر", "عمان", "مصر", "امارات", "السعودية", "الاردن",
    "المغرب", "الجزائر", "العراق", "تونس", "سوريا", "سودان", "فلسطين", "ليبيا", "موريتانيا", "پاکستان", "بھارت",
    "ایران", "شبكة", "بازار", "موقع", "كوم", "عرب", "همراه", "कॉम", "नेट", "संगठन", "भारत", "বাংলা", "ভারত",
    "ਭਾਰਤ", "ભારત", "இந்தியா", "இலங்கை", "சிங்கப்பூர்", "భారత్", "ಭಾರತ", "ഭാരതം", "ලංකා", "ไทย", "คอม", "ລາວ",
    "გე", "հայ", "ישראל", "קום", "ευ", "ελ",
))  # fmt: skip
# What stands behind an address more often than in it.
_CLOSING = "!'),:.;?*_~}\u2026\u3001\u300b\u300d\u300f\u3011\u201d\u2019"
# No host has one of these; a browser does not go there.
_FORBIDDEN = frozenset("/\\?#@:<>[]^|% \t\n\r")


@dataclass(frozen=True, slots=True)
class Host:
    """A host in lower case, names in other scripts in their ASCII form; empty where a link only looks like one to
    somewhere. `end`: of what was read."""

    name: str
    end: int


def hosts(reference: str) -> Iterator[Host]:
    """The hosts of what follows a link's slashes. None where that leads nowhere."""
    yield from _of_authority(_DELIMITER.split(reference, maxsplit=1)[0])
    unescaped = _ESCAPE.sub("", reference)
    if unescaped != reference:
        for host in _of_authority(_DELIMITER.split(unescaped, maxsplit=1)[0]):
            yield Host(host.name, len(reference))


def host_of(authority: str) -> str:
    """The host that a browser goes to: without user and port, dots and letters decoded. Empty where there is none."""
    host = _SPELLED_DOT.sub(".", authority.translate(_IDEOGRAPHIC_DOTS)).rpartition("@")[2]
    if host.startswith("["):
        return _PORT.sub("", host).lower()
    host = unquote(_PORT.sub("", host)).translate(_IDEOGRAPHIC_DOTS).lower().strip(".")
    return "" if _FORBIDDEN.intersection(host) else ".".join(map(_ascii, host.split(".")))


def _of_authority(authority: str) -> Iterator[Host]:
    if len(authority) >= LONGEST_AUTHORITY:
        yield Host("", len(authority))
        return
    authority = authority.rstrip(_CLOSING)
    user, at, rest = authority.rpartition("@")
    first = _PLAIN.match(authority)
    if first and not (at and first.end() == len(user)):
        yield Host(host_of(first[0]), first.end())
    if at:
        first = _PLAIN.match(rest)
        if first:
            yield Host(host_of(first[0]), len(authority))
    if (first.end() if first else 0) < len(rest) and _is_name(rest):
        yield Host(host_of(rest), len(authority))


def _is_name(authority: str) -> bool:
    """Whether a name with odd characters in it may be somebody's: its last label is a top-level domain."""
    plain = _SPELLED_DOT.sub(".", authority.translate(_IDEOGRAPHIC_DOTS))
    name = _PORT.sub("", plain)
    last = name.rpartition(".")[2].lower()
    return last != name and not _FORBIDDEN.intersection(name) and (_is_ascii_top(last) or last in _TOP)


def _is_ascii_top(label: str) -> bool:
    return label.isascii() and len(label) > 1 and (label.isalpha() or label.startswith("xn--"))


def _ascii(label: str) -> str:
    return label if label.isascii() else "xn--" + label.encode("punycode", "replace").decode()
