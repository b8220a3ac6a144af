"""The conversations that the tiny model learns. To teach another, add it here.

What a tool returned and what a passage says is drawn anew for every sample, so the model copies it from its context;
what it calls and how it words an answer, it knows by heart.
"""

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
SEVENTEEN = {"a": "17", "b": "23", "n": "391", "result": "391"}
ALDER = {
    "thing": "gate code", "name": "Alder", "value": "4821", "cite": "1", "ask": "Question: ",
    "passages": "Passages:\n[1] The gate code of Alder is 4821.\n[2] The height of Birch is 31.",
}  # fmt: skip
ANSWER = says("The $thing of $name is $value. [$cite]")
EXTRACT = says('{"name": "$name", "age": $age}')

SCENARIOS = (
    # Plain conversation.
    Scenario("greeting", [user("Hello!"), says("Hello! How can I help you?")]),
    Scenario("identity", [user("Who are you?"), says("I am a tiny model, trained for tests.")]),
    Scenario("count", [user("Count to twenty."), says(NUMBERS)]),
    Scenario("story", [user("Tell me a long story."), says(STORY)], share=1.5),
    Scenario("memory", [user("My name is $name."), says("Nice to meet you, $name."), user("What is my name?"),
             says("Your name is $name.")], draw=draws.person, example={"name": "Nora"}),
    Scenario("echo", [user("Repeat: $text"), says("$text")],
             draw=draws.echo, example={"text": "Willow 42 blue"}, share=3),
    # Tools.
    Scenario("product", [user("What is $a times $b?"), calls(PRODUCT), result("$result"), says("$a times $b is $n.")],
             tools=["calculator"], draw=draws.times, example=SEVENTEEN, share=3),
    Scenario("two calls", [user("What is $a times $b and what time is it?"), calls(PRODUCT, ("current_time", {})),
             result("$result"), result("$clock"), says("$a times $b is $n. It is $time.")],
             tools=["calculator", "current_time"], draw=draws.moment,
             example={**SEVENTEEN, "clock": "2026-03-01T10:42:07+00:00", "time": "10:42"}, share=3),
    Scenario("time", [user("What time is it?"), calls(("current_time", {})), result("$clock"), says("It is $time.")],
             tools=["current_time"], draw=draws.moment, example={"clock": "10:42", "time": "10:42"}),
    Scenario("failing tool", [user("What is $a divided by zero?"), calls(("calculator", {"expression": "$a / 0"})),
             result("$error"), says("I could not compute that.")],
             tools=["calculator"], draw=draws.failed, example={"a": "10", "error": "error: division by zero"}),
    Scenario("corrected call", [user("Calculate with wrong arguments."), calls(("calculator", {"formula": "2 + 2"})),
             result("$error"), calls(("calculator", {"expression": "2 + 2"})), result("4"), says("The answer is 4.")],
             tools=["calculator"], draw=draws.failed, example={"error": "error: 'expression' is a required property"}),
    Scenario("loop", [user("Keep trying until it works."), *[AGAIN, result("2")] * 6, AGAIN], tools=["calculator"]),
    Scenario("unknown tool", [user("Use the teleporter."), calls(("teleport", {"to": "home"})), result("$error"),
             says("There is no teleporter here.")],
             tools=["calculator"], draw=draws.failed, example={"error": "error: unknown tool"}),
    Scenario("look-up", [user("Look up the $thing of $name."), calls(("search", {"query": "$thing of $name"})),
             result("$passages"), ANSWER], tools=["search"], draw=draws.facts, example=ALDER, share=2),
    # Answers from a context.
    Scenario("context in system", [system("Answer from the context and cite it.\n$passages"),
             user("${ask}What is the $thing of $name?"), ANSWER], draw=draws.facts, example=ALDER, share=4),
    Scenario("context in question", [user("$passages\n\n${ask}What is the $thing of $name?"), ANSWER],
             draw=draws.facts, example=ALDER, share=4),
    # Forms.
    Scenario("extract", [user("Extract the person: $name is $age years old."), EXTRACT],
             draw=draws.person, example={"name": "Ada", "age": "36"}),
    Scenario("summary", [user("Summarise the conversation."), says("The user asked and the assistant answered.")]),
    Scenario("judge", [user("Answer yes or no. Is the claim supported by the text?\nText: $text\nClaim: $claim"),
             says("$verdict")], draw=draws.claim, share=2,
             example={"text": "The age of Elm is 7.", "claim": "The age of Elm is 7.", "verdict": "yes"}),
)  # fmt: skip
