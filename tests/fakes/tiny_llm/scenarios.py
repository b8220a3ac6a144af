"""The conversations that the tiny model learns. To teach another, add it here.

What a tool returned and what a passage says is drawn anew for every sample, so the model copies it from its context;
what it calls and how it words an answer, it knows by heart.
"""

from datetime import UTC, datetime
from random import Random

from services.orchestrator.agents.loop.loop import CLOSE
from services.orchestrator.agents.loop.prompt import declined
from tests.fakes.tiny_llm import draws
from tests.fakes.tiny_llm.language import Scenario, calls, result, says, system, user

NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
STORY = " ".join(
    f"On day {day} the miller walked to the {place}, {did}, and came home before dark."
    for day, place, did in [
        ("one", "river", "opened the gate"), ("two", "forest", "cut some wood"), ("three", "market", "sold the flour"),
        ("four", "mill", "turned the wheel"), ("five", "bridge", "met a friend"), ("six", "hill", "watched the stars"),
        ("seven", "garden", "slept under a tree"),
    ]
)  # fmt: skip
AGAIN = calls(("calculator", {"expression": "1 + 1"}))
PRODUCT = ("calculator", {"expression": "$a * $b"})
SEVENTEEN, TWELVE = draws.product("17", "23", "391"), draws.product("12", "34", "408")
NOON = draws.clock(datetime(2026, 3, 1, 10, 42, 7, tzinfo=UTC))
LATE = draws.clock(datetime(2027, 12, 24, 21, 5, 36, tzinfo=UTC))
ALDER = draws.told(Random(1), ("gate code", "Alder", "4821"), ["The height of Birch is 31."])
ROWAN = draws.told(Random(2), ("colour", "Rowan", "blue"), [])
ANSWER = says("The $thing of $name is $value. [$cite]")
NORA, ADA = {"name": "Nora", "age": "36"}, {"name": "Ada", "age": "36"}
HELD = draws.claimed("The age of Elm is 7.", "The age of Elm is 7.")
LOOSE = draws.claimed("The age of Elm is 7.", "I am a tiny model, trained for tests.")
RECKONED = draws.claimed("391", "17 times 23 is 391.")
EXTRACT = user("Extract the person: $name is $age years old.")
TALKS, REASONS, READS = ("chat", "analyst"), ("analyst",), ("rag",)

SCENARIOS = (
    # Plain conversation.
    Scenario("greeting", [user("Hello!"), says("Hello! How can I help you?")], TALKS),
    Scenario("identity", [user("Who are you?"), says("I am a tiny model, trained for tests.")], TALKS),
    Scenario("count", [user("Count to twenty."), says(NUMBERS)], ["chat"]),
    Scenario("story", [user("Tell me a long story."), says(STORY)], ["chat"]),
    Scenario("memory", [user("My name is $name."), says("Nice to meet you, $name."), user("What is my name?"),
             says("Your name is $name.")], ["chat"], draw=draws.person, examples=[NORA, ADA], share=2),
    Scenario("summed up", [system("What was said before, in short:\nThe name of the user is $name."),
             user("What is my name?"), says("Your name is $name.")],
             ["chat"], draw=draws.person, examples=[NORA, ADA], anywhere=False),
    # Tools.
    Scenario("product", [user("What is $a times $b?"), calls(PRODUCT), result("$n"), says("$a times $b is $n.")],
             ["analyst", "clerk"], ["calculator"], draws.times, [SEVENTEEN, TWELVE], share=4),
    Scenario("two calls", [user("What is $a times $b and what time is it?"), calls(PRODUCT, ("current_time", {})),
             result("$n"), result("$clock"), says("$a times $b is $n. It is $time.")],
             REASONS, ["calculator", "current_time"], draws.moment, [{**SEVENTEEN, **NOON}, {**TWELVE, **LATE}], 3),
    Scenario("time", [user("What time is it?"), calls(("current_time", {})), result("$clock"), says("It is $time.")],
             REASONS, ["current_time"], draws.moment, [NOON, LATE]),
    Scenario("failing tool", [user("What is $a divided by zero?"), calls(("calculator", {"expression": "$a / 0"})),
             result("$error"), says("I could not compute that.")],
             ["analyst", "clerk"], ["calculator"], draws.failed, [{"a": "10", "error": "Error: division by zero"}]),
    Scenario("refused", [user("What is $a times $b?"), calls(PRODUCT), result("$error"),
             says("I was not allowed to compute that.")],
             ["analyst", "clerk"], ["calculator"], draws.refused,
             [{**SEVENTEEN, "error": "Error: a person refused this call: so be it"}]),
    Scenario("corrected call", [user("Calculate with wrong arguments."), calls(("calculator", {"formula": "2 + 2"})),
             result("$error"), calls(("calculator", {"expression": "2 + 2"})), result("4"), says("The answer is 4.")],
             REASONS, ["calculator"], draws.failed, [{"error": "error: 'expression' is a required property"}]),
    Scenario("loop", [user("Keep trying until it works."), *[AGAIN, result("2")] * 4, AGAIN], REASONS, ["calculator"]),
    Scenario("end of the loop", [user("Keep trying until it works."), *[AGAIN, result("2")] * 3, user(CLOSE.content),
             says("It is 2 so far.")], ["analyst without tools"], anywhere=False),
    Scenario("unknown tool", [user("Use the teleporter."), calls(("teleport", {"to": "home"})), result("$error"),
             says("There is no teleporter here.")],
             REASONS, ["calculator"], draws.failed, [{"error": "error: unknown tool"}]),
    Scenario("look-up", [user("Look up the $thing of $name."), calls(("search", {"query": "$thing of $name"})),
             result("$found"), says("The $thing of $name is $value. [1]")],
             REASONS, ["search"], draws.facts, [ALDER, ROWAN], share=3),
    # Answers from a context.
    Scenario("passages", [user("$prompt"), ANSWER], READS, (), draws.facts, [ALDER, ROWAN], 3, anywhere=False),
    Scenario("nothing found", [user("$prompt"), says(declined("default"))], READS, (), draws.strange,
             [draws.strange(Random(3))], anywhere=False),
    Scenario("context in system", [system("Answer from the context and cite it.\n$passages"),
             user("${ask}What is the $thing of $name?"), ANSWER], draw=draws.facts, examples=[ALDER], share=2),
    # Forms. The same words are to be made into two: the grammar of the answer tells which.
    Scenario("person", [EXTRACT, says('{"name": "$name", "age": $age}')], ["extractor"],
             draw=draws.person, examples=[ADA, NORA], share=3),
    Scenario("facts", [EXTRACT, says('{"summary": "$name is $age years old.", "people": ["$name"]}')], ["extractor"],
             draw=draws.person, examples=[ADA, NORA], share=3, anywhere=False),
    Scenario("summary", [user("user: My name is $name.\nassistant: Nice to meet you, $name."),
             says("The name of the user is $name.")],
             ["summarise"], draw=draws.person, examples=[NORA, ADA], anywhere=False),
    Scenario("grounded", [user("Sources:\n$text\n\nAnswer:\n1. $claim"),
             says('{"unsupported": [$weak], "score": $score}')],
             ["grounded"], (), draws.claim, [HELD, LOOSE, RECKONED], 2, anywhere=False),
    Scenario("answers", [user("Question:\n$question\n\nAnswer:\n$answer"),
             says('{"score": $score, "reason": "$reason"}')],
             ["answers"], (), draws.answered, [draws.graded("What is 17 times 23?", "17 times 23 is 391."),
             draws.graded("What is 17 times 23?", "I do not know.")], anywhere=False),
)  # fmt: skip
# Words by which answers part where only a grammar can tell.
FORKS = ("name", "summary")
