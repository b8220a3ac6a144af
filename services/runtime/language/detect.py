"""Which language a text is written in, as far as its script, its function words and its own letters tell.

For questions: a few words of them are enough. Not for names and keywords, which are of no language.
"""

import re
import unicodedata
from collections import defaultdict
from functools import lru_cache

ENGLISH, JAPANESE, VIETNAMESE = "en", "ja", "vi"
UNKNOWN = ""

# The commonest function words, and what questions begin with. A word of two languages counts half for each.
_WORDS = {
    "en": "the of and to in a is was for that it as with what which who whom whose how many much when where why did "
          "does do are were be by on at from this has have had not an can could would should if or its their there "
          "then than my your i you we use used between into about after before during name called type kind",
    "de": "der die das den dem des ein eine einen einem einer eines und ist war wurde wurden werden wird sind waren zu "
          "zum zur im von vom mit auf für nicht als auch sich an am bei aus nach wie was wer wen wem wo wann warum "
          "welche welcher welches welchen welchem wieviel viele es hat hatte haben er sie ich kann man durch über um "
          "gab wessen woher wohin womit einem",
    "fr": "le la les de des du un une et est était sont à au aux en dans que qui quoi quel quelle quels quelles où "
          "quand comment pourquoi combien ce cette ces il elle ils elles pour par sur avec pas ne se son sa ses ont a "
          "été plus je vous nous on fut",
    "es": "el la los las de del un una unos unas y es era fue son en que qué quién quiénes cuál cuáles cuándo dónde "
          "cómo cuánto cuántos cuántas cuánta por para con a al se su sus no lo le como más fueron ha había está qué "
          "quien cual cuando donde cuantos tiene tenía este esta o entre desde hay",
    "pt": "o a os as de do da dos das um uma e é era foi são em no na nos nas que quem qual quais quando onde como "
          "quanto quantos quantas por para com ao se seu sua não mais foram está pelo pela",
    "it": "il lo la i gli le di del della dei delle dello un uno una e è era sono in nel nella che chi cosa quale "
          "quali quando dove come perché quanto quanti quante per con a al alla si suo sua non più fu da dal ha",
    "nl": "de het een van en is was zijn in op te dat die wie wat welke waar wanneer waarom hoe hoeveel met voor aan "
          "niet er om ook bij door werd werden naar heeft had worden uit dit deze",
    "sv": "den det en ett och är var att i på som av för med till från vad vem vilken vilket vilka när hur många "
          "varför inte har hade de blev om",
    "da": "den det en et og er var at i på som af for med til fra hvad hvem hvilken hvilket hvilke hvornår hvor mange "
          "hvorfor ikke har havde de blev om",
    "fi": "on oli ja ei se että mikä mitä kuka ketkä missä milloin miksi miten kuinka monta ovat olivat joka jossa "
          "kun minkä mihin mistä",
    "pl": "i w na z do się nie jest był była było były co kto kiedy gdzie jak ile jaki jaka jakie jakiego dlaczego "
          "który która które od przez dla po za o ze są czy",
    "cs": "a v na je se z do byl byla bylo byli co kdo kdy kde jak kolik jaký jaká jaké proč který která které od pro "
          "za ve jsou nebo ze",
    "tr": "ve bir bu ne kim hangi nerede nasıl kaç için ile mi mı da de olan olarak zaman neden hangisi kaçıncı oldu "
          "nedir kimdir",
    "vi": "là gì của và ai các có được cho trong với một những này đã nào đâu khi không ở bao nhiêu như thế từ người "
          "vào năm để tên tại sao việc cách bị đến ra",
    "id": "yang dan di ke dari apa siapa kapan mana bagaimana berapa mengapa adalah ini itu untuk dengan pada tidak "
          "dalam oleh",
    "ro": "și de la în un o este era sunt cu pe din ce cine când unde cum cât câți câte care pentru nu a fost au se",
    "hu": "a az és egy nem hogy volt van mi ki mikor hol miért hogyan mennyi hány melyik milyen meg is kik mely",
}  # fmt: skip
# Those of languages that their script tells.
_WORDS_OF_SCRIPTS = {
    "ru": "в во и на с со к ко по о об от до за из у не что кто как какой какая какое какие каким какую каком какого "
          "какому каких какими который которая которое которые которого котором которой где когда почему зачем куда "
          "откуда сколько чем чего кого кому ком чему чьей чей это был была было были быть есть для при под над между "
          "после перед а но или ли же бы то его её ее их он она оно они является являются",
    "ar": "ما ماذا من متى أين كيف لماذا كم أي هل هو هي هم في على إلى عن مع التي الذي الذين كان كانت هذا هذه ذلك تلك و "
          "أو ثم قد لم لن لا إن أن بين بعد قبل عند تم يتم كل",
    "hi": "क्या कौन कब कहाँ कहां क्यों कैसे कितना कितने कितनी किस किसे किसने किसका किसके किसकी कौनसा कौनसी है हैं था थी थे हो "
          "होता होती होते का के की को में से पर ने और या भी एक यह वह इस उस ये वे जो तक लिए द्वारा साथ कर किया गया गई गए करता "
          "करते करने जाता जाती जाते ही तो नहीं अपने अपनी अपना",
}  # fmt: skip
# Of these, what questions ask with: hardly anything else brings them into a text.
_ASKING = {
    "en": "what which who whom whose how when where why",
    "de": "wie was wer wen wem wo wann warum welche welcher welches welchen welchem wieviel wessen woher wohin womit",
    "fr": "qui quoi quel quelle quels quelles où quand comment pourquoi combien",
    "es": "qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuántos cuántas cuánta "
          "quien cual cuando donde cuantos",
    "pt": "quem qual quais quando onde como quanto quantos quantas",
    "it": "chi cosa quale quali quando dove come perché quanto quanti quante",
    "nl": "wie wat welke waar wanneer waarom hoe hoeveel", "sv": "vad vem vilken vilket vilka när hur varför",
    "da": "hvad hvem hvilken hvilket hvilke hvornår hvor hvorfor",
    "fi": "mikä mitä kuka ketkä missä milloin miksi miten",
    "pl": "kto kiedy gdzie ile jaki jaka jakie dlaczego", "cs": "kdo kdy kde kolik jaký jaká jaké proč",
    "tr": "ne kim hangi nerede nasıl kaç neden", "vi": "gì ai nào đâu sao", "ro": "cine când unde cum cât câți câte",
    "id": "apa siapa kapan mana bagaimana berapa mengapa", "hu": "mi ki mikor hol miért hogyan mennyi hány melyik",
}  # fmt: skip
_ASKING_WEIGHT = 1.5
# Letters that tell; names carry them into other languages, so that they count little.
_LETTERS = {
    "de": "äöüß", "fr": "çœêèàùû", "es": "ñ¿¡óíáéú", "pt": "ãõç", "it": "òìèù", "sv": "åäö", "da": "åæø", "fi": "äö",
    "pl": "łąęśżźćń", "cs": "řěůčšž", "tr": "ğış", "vi": "đơưăàảãáạ", "ro": "țșăâ", "hu": "őűá",
}  # fmt: skip
_LETTER_WEIGHT = 0.3
_VIETNAMESE_LETTERS = ("\u1ea0", "\u1ef9")
_LEAST = 1.4
"""Evidence for a language to be named: more than one word, which a name may bring along, as El Niño does."""
_SCRIPT_SHARE = 0.3
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS = (
    ("ja", "\u3040-\u30ff"), ("ko", "\uac00-\ud7af\u1100-\u11ff"), ("zh", "\u3400-\u9fff"), ("ru", "\u0400-\u04ff"),
    ("el", "\u0370-\u03ff"), ("he", "\u0590-\u05ff"), ("ar", "\u0600-\u06ff\u0750-\u077f"), ("hi", "\u0900-\u097f"),
    ("bn", "\u0980-\u09ff"), ("ta", "\u0b80-\u0bff"), ("te", "\u0c00-\u0c7f"), ("th", "\u0e00-\u0e7f"),
    ("lo", "\u0e80-\u0eff"), ("my", "\u1000-\u109f"), ("ka", "\u10a0-\u10ff"), ("am", "\u1200-\u137f"),
    ("km", "\u1780-\u17ff"), ("hy", "\u0530-\u058f"),
)  # fmt: skip
_BY_SCRIPT = tuple((language, re.compile(f"[{letters}]")) for language, letters in _SCRIPTS)


def _by_word() -> dict[str, list[tuple[str, float]]]:
    languages: dict[str, set[str]] = defaultdict(set)
    for language, words in _WORDS.items():
        for word in words.split():
            languages[word].add(language)
    asking = {language: set(words.split()) for language, words in _ASKING.items()}
    return {
        word: [(each, (_ASKING_WEIGHT if word in asking[each] else 1.0) / len(known)) for each in sorted(known)]
        for word, known in languages.items()
    }


_BY_WORD = _by_word()


def function_words(language: str) -> list[str]:
    """What stands in a text of the language whatever it is about; none for a language whose words are not known."""
    return (_WORDS.get(language) or _WORDS_OF_SCRIPTS.get(language, "")).split()


@lru_cache(maxsize=1024)
def language_of(text: str) -> str:
    """The text's language by its ISO 639-1 code: of a script that several languages use the one with most speakers, and
    UNKNOWN where nothing tells, as in a name or a few keywords."""
    normal = unicodedata.normalize("NFC", text.lower())
    return _by_letters(normal) or _by_function_words(normal)


def _by_letters(text: str) -> str:
    """The language of a script other than the Latin, where enough of the letters are of it."""
    if text.isascii():
        return UNKNOWN
    counts = {language: len(pattern.findall(text)) for language, pattern in _BY_SCRIPT}
    if sum(counts.values()) < _SCRIPT_SHARE * sum(character.isalpha() for character in text):
        return UNKNOWN
    if counts[JAPANESE]:
        return JAPANESE  # with more Chinese characters than its own, often
    return max(counts, key=lambda language: counts[language]) if any(counts.values()) else UNKNOWN


def _by_function_words(text: str) -> str:
    evidence: dict[str, float] = defaultdict(float)
    for word in _WORD.findall(text):
        for language, weight in _BY_WORD.get(word, ()):
            evidence[language] += weight
    if not text.isascii():
        for language, letters in _LETTERS.items():
            evidence[language] += _LETTER_WEIGHT * sum(letter in text for letter in letters)
        first, last = _VIETNAMESE_LETTERS
        evidence[VIETNAMESE] += sum(first <= letter <= last for letter in text)
    if not evidence:
        return UNKNOWN
    language, most = max(evidence.items(), key=lambda each: (each[1], each[0] == ENGLISH))
    return language if most >= _LEAST else UNKNOWN
