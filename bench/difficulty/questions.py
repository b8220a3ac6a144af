"""Questions with references, of kinds that a small model knows, of kinds that it does not, and of some between."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.xquad.corpus import Corpus, Question

SEED = 17
LOOKUPS, SUMS, SPELLINGS = 80, 180, 60
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
CAPITALS = (
    "France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Austria Vienna, Poland Warsaw, "
    "Hungary Budapest, Greece Athens, Ireland Dublin, Norway Oslo, Sweden Stockholm, Denmark Copenhagen, Finland "
    "Helsinki, Russia Moscow, Ukraine Kyiv, Turkey Ankara, Egypt Cairo, Kenya Nairobi, Nigeria Abuja, Ethiopia "
    "Addis Ababa, Japan Tokyo, China Beijing, India Delhi, Thailand Bangkok, Vietnam Hanoi, Indonesia Jakarta, "
    "Australia Canberra, Canada Ottawa, Mexico Mexico City, Cuba Havana, Peru Lima, Chile Santiago, Argentina "
    "Buenos Aires, Iran Tehran, Iraq Baghdad, Kazakhstan Astana, Burkina_Faso Ouagadougou, Bhutan Thimphu, Mongolia "
    "Ulaanbaatar, Suriname Paramaribo, Malawi Lilongwe, Kyrgyzstan Bishkek, Moldova Chisinau, Eritrea Asmara, "
    "Vanuatu Port Vila, Brunei Bandar Seri Begawan"
)
OPPOSITES = (
    "hot cold, big small, up down, left right, early late, rich poor, day night, open closed, wet dry, light dark, "
    "full empty, hard soft, fast slow, old new, clean dirty, true false, first last, alive dead, happy sad, strong "
    "weak, high low, love hate, war peace, win lose, black white, good bad, long short, thick thin, young old, near "
    "far, inside outside, buy sell, push pull, give take, start end, loud quiet, deep shallow, easy difficult, "
    "above below, before after, hard easy, heavy light, wide narrow, tall short, sweet sour, east west, north "
    "south, male female, laugh cry, remember forget, success failure, friend enemy, winter summer, sunrise sunset, "
    "question answer, always never, all none, accept reject, increase decrease"
)
PAST = (
    "go went, eat ate, drink drank, see saw, run ran, take took, give gave, write wrote, speak spoke, break broke, "
    "choose chose, drive drove, fly flew, know knew, grow grew, throw threw, sing sang, swim swam, begin began, "
    "ring rang, come came, become became, find found, buy bought, bring brought, think thought, teach taught, catch "
    "caught, sleep slept, keep kept, leave left, feel felt, meet met, send sent, build built, spend spent, lose "
    "lost, tell told, sell sold, say said, make made, have had, do did, stand stood, win won, hear heard, hold "
    "held, read read, sit sat, fall fell, wake woke, hide hid, bite bit, ride rode, rise rose, wear wore, tear "
    "tore, swear swore, draw drew, blow blew"
)
PLURALS = (
    "child children, man men, woman women, foot feet, tooth teeth, goose geese, mouse mice, person people, knife "
    "knives, leaf leaves, wolf wolves, city cities, baby babies, box boxes, bus buses, church churches, dish "
    "dishes, hero heroes, potato potatoes, tomato tomatoes, story stories, lady ladies, wife wives, life lives, "
    "half halves, shelf shelves, thief thieves, dog dogs, cat cats, book books, tree trees, house houses, ox oxen, "
    "cactus cacti, crisis crises"
)
CONTINENTS = (
    "France Europe, Germany Europe, Italy Europe, Spain Europe, Poland Europe, Sweden Europe, Greece Europe, Norway "
    "Europe, Portugal Europe, Hungary Europe, Japan Asia, China Asia, India Asia, Thailand Asia, Vietnam Asia, "
    "Mongolia Asia, Nepal Asia, Pakistan Asia, Iran Asia, Iraq Asia, Egypt Africa, Kenya Africa, Nigeria Africa, "
    "Ethiopia Africa, Ghana Africa, Morocco Africa, Uganda Africa, Angola Africa, Zambia Africa, Senegal Africa, "
    "Brazil South_America, Chile South_America, Peru South_America, Argentina South_America, Bolivia South_America, "
    "Canada North_America, Mexico North_America, Cuba North_America"
)
LANGUAGES = (
    "France French, Germany German, Italy Italian, Spain Spanish, Portugal Portuguese, Japan Japanese, China "
    "Chinese, Russia Russian, Greece Greek, Poland Polish, Sweden Swedish, Norway Norwegian, Denmark Danish, "
    "Finland Finnish, Hungary Hungarian, Turkey Turkish, Egypt Arabic, Brazil Portuguese, Mexico Spanish, Argentina "
    "Spanish, Vietnam Vietnamese, Thailand Thai, Iran Persian, Ukraine Ukrainian, England English"
)
NEXT = (
    "Monday Tuesday, Tuesday Wednesday, Wednesday Thursday, Thursday Friday, Friday Saturday, Saturday Sunday, "
    "Sunday Monday, January February, February March, March April, April May, May June, June July, July August, "
    "August September, September October, October November, November December"
)
SYMBOLS = (
    "hydrogen H, helium He, carbon C, nitrogen N, oxygen O, sodium Na, iron Fe, gold Au, silver Ag, copper Cu, lead "
    "Pb, tin Sn, mercury Hg, potassium K, tungsten W, zinc Zn, calcium Ca, antimony Sb, radon Rn, xenon Xe"
)
WORDS = (
    "garden window bridge orange silver market planet winter kitchen letter mountain harbor dragon candle rocket "
    "pencil museum forest ladder basket engine mirror temple button ticket circle ribbon hammer violin pepper"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what a right answer says, how that is scored, and of which kind it is."""

    question: str
    reference: str
    scorer: str
    kind: str


def questions(corpus: Corpus) -> list[Asked]:
    """The same each time, each once, in no order."""
    chance = random.Random(SEED)
    found = {one.question: one for one in (*_facts(), *_lookups(corpus, chance), *_sums(chance), *_spellings(chance))}
    listed = list(found.values())
    chance.shuffle(listed)
    return listed


def by_kind(asked: Sequence[Asked]) -> Mapping[str, int]:
    return {kind: sum(one.kind == kind for one in asked) for kind in sorted({one.kind for one in asked})}


def _facts() -> Iterator[Asked]:
    for country, capital in _pairs(CAPITALS):
        yield Asked(f"What is the capital of {country.replace('_', ' ')}?", capital, "contains", "capital")
    for word, opposite in _pairs(OPPOSITES):
        yield Asked(f'What is the opposite of "{word}"?', opposite, "contains", "opposite")
    for verb, past in _pairs(PAST):
        yield Asked(f'What is the past tense of the verb "{verb}"?', past, "contains", "past tense")
    for one, many in _pairs(PLURALS):
        yield Asked(f'What is the plural of "{one}"?', many, "contains", "plural")
    for country, continent in _pairs(CONTINENTS):
        yield Asked(f"On which continent is {country}?", continent.replace("_", " "), "contains", "continent")
    for country, language in _pairs(LANGUAGES):
        yield Asked(f"Which language do most people in {country} speak?", language, "contains", "language")
    for day, following in _pairs(NEXT):
        yield Asked(f"What comes after {day}?", following, "contains", "what comes after")
    for element, symbol in _pairs(SYMBOLS):
        yield Asked(f"What is the chemical symbol of {element}?", symbol, "contains", "symbol")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(", "):
        first, _, second = pair.partition(" ")
        yield first, second


def _lookups(corpus: Corpus, chance: random.Random) -> Iterator[Asked]:
    """In a sentence that has the answer."""
    for one in chance.sample(list(corpus.questions), LOOKUPS):
        yield Asked(f"{_sentence(one)}\n\n{one.text}", one.answers[0], "contains", "lookup")


def _sentence(one: Question) -> str:
    return next((each for each in _SENTENCE.split(one.paragraph.text) if one.answers[0] in each), "")


def _sums(chance: random.Random) -> Iterator[Asked]:
    for number in range(SUMS):
        digits = 1 + number % 4
        first, second = (chance.randrange(10 ** (digits - 1), 10**digits) for _ in range(2))
        match number // 4 % 3:
            case 0:
                text, result = f"What is {first} + {second}?", first + second
            case 1:
                text, result = f"What is {first} * {second}?", first * second
            case _:
                third = chance.randrange(2, 10)
                text = f"A shop has {first} boxes and gets {second} more, each with {third} pens. How many pens has it?"
                result = (first + second) * third
        yield Asked(text, str(result), "number", f"sum, {digits} digits")


def _spellings(chance: random.Random) -> Iterator[Asked]:
    for number, word in enumerate(chance.choices(WORDS.split(), k=SPELLINGS)):
        match number % 3:
            case 0:
                yield Asked(f'Write the word "{word}" backwards.', word[::-1], "contains", "spelling")
            case 1:
                yield Asked(f'How many letters has the word "{word}"?', str(len(word)), "number", "spelling")
            case _:
                yield Asked(f'What is the last letter of "{word}"?', word[-1], "exact", "spelling")
