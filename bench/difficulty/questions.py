"""Questions with references, of kinds that a small model knows, of kinds that it does not, and of some between."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.xquad.corpus import Corpus, Question

SEED = 17
LOOKUPS, SUMS, SPELLINGS = 60, 120, 40
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
SPANISH = (
    "house casa, water agua, cat gato, dog perro, book libro, friend amigo, day día, night noche, sun sol, moon "
    "luna, bread pan, milk leche, red rojo, green verde, white blanco, black negro, blue azul, man hombre, woman "
    "mujer, boy niño, school escuela, street calle, city ciudad, time tiempo, love amor, hand mano, fire fuego, "
    "door puerta, table mesa, apple manzana, one uno, two dos, three tres, ten diez, fish pescado, sea mar, flower "
    "flor, king rey, thanks gracias, hello hola"
)
CURRENCIES = (
    "Japan yen, Germany euro, France euro, Italy euro, Spain euro, China yuan, India rupee, Russia ruble, Mexico "
    "peso, Brazil real, Switzerland franc, Sweden krona, Norway krone, Denmark krone, Poland zloty, Turkey lira, "
    "Thailand baht, Vietnam dong, Canada dollar, Australia dollar, Ireland euro, Austria euro, Greece euro, "
    "Portugal euro, Finland euro, Argentina peso, Chile peso, Pakistan rupee, Nepal rupee, Egypt pound"
)
GENERAL = (
    ("What do bees make?", "honey"),
    ("What do cows give us to drink?", "milk"),
    ("What is frozen water called?", "ice"),
    ("What color is the sky on a clear day?", "blue"),
    ("What color is grass?", "green"),
    ("What color is snow?", "white"),
    ("What color is a ripe banana?", "yellow"),
    ("What color is blood?", "red"),
    ("What color is coal?", "black"),
    ("Which planet do we live on?", "Earth"),
    ("Which star is at the center of our solar system?", "sun"),
    ("Which planet is known as the red planet?", "Mars"),
    ("Which is the largest planet of the solar system?", "Jupiter"),
    ("Which is the largest ocean?", "Pacific"),
    ("Which is the highest mountain of the world?", "Everest"),
    ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ("Who painted the Mona Lisa?", "Leonardo"),
    ("Who was the first president of the United States?", "Washington"),
    ("Who developed the theory of relativity?", "Einstein"),
    ("Who wrote The Origin of Species?", "Darwin"),
    ("Who discovered penicillin?", "Fleming"),
    ("Who wrote The Odyssey?", "Homer"),
    ("Who wrote Don Quixote?", "Cervantes"),
    ("Which gas do plants take in from the air?", "carbon dioxide"),
    ("Which gas do we need to breathe?", "oxygen"),
    ("Which organ pumps blood?", "heart"),
    ("Which organ do we think with?", "brain"),
    ("Which organ do we breathe with?", "lungs"),
    ("Which organs do we see with?", "eyes"),
    ("Which metal is liquid at room temperature?", "mercury"),
    ("Which animal is the largest on Earth?", "blue whale"),
    ("Which animal is the fastest on land?", "cheetah"),
    ("Which animal is the tallest?", "giraffe"),
    ("What do caterpillars become?", "butterflies"),
    ("What is a baby dog called?", "puppy"),
    ("What is a baby cat called?", "kitten"),
    ("What is a group of wolves called?", "pack"),
    ("What is the study of living things called?", "biology"),
    ("What is the study of the stars called?", "astronomy"),
    ("What force pulls things to the ground?", "gravity"),
    ("What instrument shows north?", "compass"),
    ("What instrument measures temperature?", "thermometer"),
    ("Which season comes after winter?", "spring"),
    ("Which season is the coldest?", "winter"),
    ("Which meal do we eat in the morning?", "breakfast"),
    ("In which country are the pyramids of Giza?", "Egypt"),
    ("In which country is the Eiffel Tower?", "France"),
    ("In which country is the Taj Mahal?", "India"),
    ("In which city is the Colosseum?", "Rome"),
    ("In which city is Big Ben?", "London"),
    ("In which country did pizza begin?", "Italy"),
    ("In which country did sushi begin?", "Japan"),
    ("Which sport is played at Wimbledon?", "tennis"),
    ("Which language has the most native speakers in Brazil?", "Portuguese"),
    ("Which river flows through Egypt?", "Nile"),
    ("Which river flows through London?", "Thames"),
    ("Which ocean is between Europe and America?", "Atlantic"),
    ("What is the boiling point of water in degrees Celsius?", "100"),
    ("What is the chemical formula of water?", "H2O"),
    ("What is table salt made of, sodium and what?", "chloride"),
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


FACTS = (
    ("capital", "What is the capital of {}?", CAPITALS),
    ("opposite", 'What is the opposite of "{}"?', OPPOSITES),
    ("past tense", 'What is the past tense of the verb "{}"?', PAST),
    ("plural", 'What is the plural of "{}"?', PLURALS),
    ("continent", "On which continent is {}?", CONTINENTS),
    ("language", "Which language do most people in {} speak?", LANGUAGES),
    ("Spanish", 'What is the Spanish word for "{}"?', SPANISH),
    ("currency", "What is the currency of {}?", CURRENCIES),
    ("symbol", "What is the chemical symbol of {}?", SYMBOLS),
)


def _facts() -> Iterator[Asked]:
    for kind, form, pairs in FACTS:
        for first, second in _pairs(pairs):
            yield Asked(form.format(first), second, "contains", kind)
    for question, answer in GENERAL:
        yield Asked(question, answer, "contains", "general")


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(", "):
        first, _, second = pair.partition(" ")
        yield first.replace("_", " "), second.replace("_", " ")


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
