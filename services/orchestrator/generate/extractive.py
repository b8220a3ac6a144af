"""The extractive generator: answers with sentences quoted from the passages."""

from collections.abc import AsyncGenerator, Sequence

from services.llm.chat import Message
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.llm.tokens import estimate_prompt
from services.orchestrator import metrics
from services.orchestrator.domain.passage import Found
from services.orchestrator.domain.tool import Declaration
from services.orchestrator.rag.quotes import choose
from services.orchestrator.rag.reading import passage_sentences, question_on
from services.runtime.language.markdown import FENCE, plain

SEPARATOR, CODE_SEPARATOR = " ", "\n"


class ExtractiveGenerator:
    """Quotes what was found, without Markdown's marks; code keeps its lines and its fences. Each piece is one sentence
    with its citation, a space before all but the first, or a new line where code ends. Below `threshold`, a confidence
    from 0 to 1, it finds no answer."""

    name = "extractive"

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """An estimate: it reads sentences, not prompts."""
        return estimate_prompt(message.content for message in messages)

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        found = generation.found or Found(())
        sentences = passage_sentences(found)
        if not sentences:
            yield Ended(Finish.NO_ANSWER, TokenCounts(), 0.0)
            return
        asked = generation.messages[-1].content.strip()
        answer = choose(question_on(asked, found, sentences, generation.max_sentences), self._threshold)
        separator = ""
        for place, _ in answer.chosen:
            text = plain(sentences[place].raw)
            yield Piece(f"{separator}{text}", sentences[place].citation)
            separator = CODE_SEPARATOR if text.endswith(FENCE) else SEPARATOR
        metrics.CONFIDENCE.observe(answer.confidence)
        finish = Finish.STOP if answer.chosen else Finish.NO_ANSWER
        yield Ended(finish, TokenCounts(answer.tokens_read, answer.tokens_written), answer.confidence)
