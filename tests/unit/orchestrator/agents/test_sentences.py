"""Which sentences of an answer claim anything."""

import pytest

from services.orchestrator.agents.loop.graders.sentences import claims, claims_of


@pytest.mark.parametrize("sentence", [
    "Sure!", "Of course.", "Hello.", "Thank you for your question.", "I hope this helps!", "I hope that helps you.",
    "Let me know if you have any other questions.", "Please let me know if you need anything else.",
    "Feel free to ask if you have further questions.", "Would you like to know more about cats?",
    "Here is what I found:", "Here are the main points:", "Based on the provided passages:", "## Sources of the Nile",
    "**Summary**", "- Hope this helps.", "I'm sorry, but I don't know.", "I’m afraid I cannot help with that.",
    "Unfortunately, I could not find the answer in the documents provided.", "What do cats eat?",
    "Gerne!", "Ich hoffe, das hilft Ihnen.", "Leider weiß ich das nicht.", "Hier ist die Antwort:",
    "Lassen Sie mich wissen, wenn Sie weitere Fragen haben.",
    "Bien sûr !", "N'hésitez pas si vous avez d'autres questions.", "Voici la réponse :", "Je ne sais pas.",
    "¡Claro!", "Espero que esto te ayude.", "No sé.",
    "当然，", "希望对您有帮助。", "如果您还有其他问题，请随时告诉我。", "抱歉，我无法回答。",
])  # fmt: skip
def test_nothing_is_claimed(sentence: str) -> None:
    assert not claims(sentence)


@pytest.mark.parametrize("sentence", [
    "Cats sleep.", "Sure, cats can fly.", "Yes, the moon is made of cheese.",
    "Of course the treaty was signed in Rome.",
    "Here is the capital: Paris.", "I hope the treaty was signed in Rome.", "If you want, cats fly.",
    "Unfortunately, the company was dissolved.", "I don't know the CEO, who stole money.", "It was 1990.",
    "The three largest rivers are:", "- The Rhine", "7", "Let me know if the king died in exile.",
    "Natürlich schlafen Katzen.", "Bien sûr, les chats dorment.", "Claro, los gatos duermen.", "当然，猫会睡觉。",
    "Is it true? No, cats sleep.",
])  # fmt: skip
def test_something_is_claimed(sentence: str) -> None:
    assert claims(sentence)


def test_the_claims_of_an_answer() -> None:
    answer = "Sure! Here is what I found:\n\nCats sleep [1]. Dogs run [2]. I hope this helps! Do you want to know more?"
    assert claims_of(answer) == ["Cats sleep.", "Dogs run."]
