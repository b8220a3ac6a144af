"""Questions for an amount or a date, and sentences with a figure: what answers "how many" has a number in it."""

import re

_ENGLISH = (
    r"\bhow (?:many|much|long|often|large|big|far|old|fast|high|deep|wide|tall|late|soon|small|heavy|few)\b|"
    r"(?:^|\b(?:since|until|by) )when\b|"
    r"\bwh(?:at|ich) (?:\w+ ){0,3}?(?:maximum|minimum|largest|smallest|highest|lowest|longest|shortest|greatest|"
    r"earliest|latest|size|number|percent(?:age)?|share|port|value|year|date|limit|age|population|amount|length|"
    r"distance|rate|ratio|version|exit code|status|result code)\b"
)
_OTHERS = (
    r"\bwie ?(?:viele?n?|lange?|oft|groß|hoch|weit|alt|schnell|breit|tief)\b|\bwann\b|"
    r"\bwelche[rnms]? (?:jahr|port|wert|version)\b|\bcuánt|\bcuándo|\bqué año|\bcombien\b|"
    r"(?:^|\bdepuis )quand\b|сколько|(?:^|\bс )когда|"
    r"(?:каком|какого) год|\bكم\b|متى|कितन|\bकब\b|bao nhiêu|khi nào|năm nào|กี่|เท่าไ|เท่าใด|เมื่อใด|เมื่อไ|"
    "多少|几|幾|多久|多长|多長|多大|何时|何時|什么时候|什麼時候|哪一?年|最大|最多|最长|最小"
)
_ASKS = re.compile(f"{_ENGLISH}|{_OTHERS}", re.IGNORECASE)
_FIGURE = re.compile(
    r"\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|"
    r"million|billion|half|third|quarter|dozen|once|twice|unlimited|never|zwei|drei|vier|fünf|sechs|sieben|acht|neun|"
    r"zehn|zwölf|hundert|tausend|dos|tres|cuatro|cinco)\b|[一二三四五六七八九十百千万两兩]",
    re.IGNORECASE,
)
_DEFAULT = re.compile(
    r"\bdefault|\bVoreinstell|\bStandardwert|\bVorgabe|\bstandardmäßig|"
    "по умолчанию|predeterminad|par défaut|默认|缺省|預設",
    re.IGNORECASE,
)


def asks_amount(question: str) -> bool:
    """Whether it asks how many, how long, when, or for a limit, a port, a version. A "when" within it is a
    condition."""
    return _ASKS.search(question.strip(" \t\n\"'¿¡*-")) is not None


def has_figure(sentence: str) -> bool:
    """Whether there is a number in it, in digits or in words."""
    return _FIGURE.search(sentence) is not None


def names_default(sentence: str) -> bool:
    """Whether it says what holds where nothing is set."""
    return _DEFAULT.search(sentence) is not None
