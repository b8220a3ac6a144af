"""Any number of passages of realistic length, all different, from the sentences of a corpus."""

import random
from collections.abc import Iterator, Sequence

from bench.xquad.corpus import Corpus
from services.retrieval.language.sentences import sentences

SEED = 7


def passages(corpus: Corpus, count: int) -> list[str]:
    """The corpus's own paragraphs first; then for each further one the sentences of as many at random.

    The result is the same for the same corpus and count.
    """
    own = [_sentences(paragraph.text) for paragraph in corpus.paragraphs]
    found = dict.fromkeys(paragraph.text for paragraph in corpus.paragraphs[:count])
    mixed = _mixed(own, random.Random(SEED))
    while len(found) < count:
        found[next(mixed)] = None
    return list(found)


def _mixed(paragraphs: Sequence[Sequence[str]], chance: random.Random) -> Iterator[str]:
    """Paragraphs of as many sentences as a real one has, each sentence from anywhere."""
    everything = [sentence for paragraph in paragraphs for sentence in paragraph]
    while True:
        length = len(chance.choice(paragraphs))
        yield " ".join(chance.sample(everything, length))


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]
