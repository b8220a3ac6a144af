"""Four manuals of one maker, alike but for the product's name and one number, and a question on each."""

from bench.documents.questions import Question
from bench.load.rpc import Document

# How many brewing cycles there are between two descalings.
CYCLES = {"Brevo E20": 120, "Brevo E30": 180, "Brevo S50": 250, "Brevo S70 Duo": 400}
MANUAL = """# {product}: operating instructions

Thank you for choosing this coffee machine. Keep these instructions, and pass them on with the machine.

## Safety

Connect the machine to an earthed socket only. Pull the plug before you clean it. Children may use it under supervision.

## Making coffee

Fill the tank with fresh water up to the mark and the hopper with beans. Press the lit button once for a small cup,
twice for a large one. The first two cups after a long pause are weaker than the others.

## Descaling

The machine has to be descaled after {cycles} brewing cycles. The orange lamp is lit when it is due. Dissolve one sachet
in half a litre of lukewarm water, pour it into the tank and hold the button for five seconds. Rinse with two tanks of
fresh water.

## Disposal

The machine does not belong into household waste. Take it to a collection point for electrical appliances.
"""


def documents() -> list[Document]:
    """One a product."""
    return [
        Document(_name(product), MANUAL.format(product=product, cycles=cycles), "text/markdown")
        for product, cycles in CYCLES.items()
    ]


def questions() -> list[Question]:
    """One a product; the answer is its own number."""
    return [
        Question(
            f"After how many cycles do I descale the {product}?", "en", "manual", (_name(product),), (str(cycles),)
        )
        for product, cycles in CYCLES.items()
    ]


def others(question: Question) -> tuple[str, ...]:
    """The numbers of the other products: quoted, they mislead."""
    return tuple(str(cycles) for cycles in CYCLES.values() if str(cycles) not in question.answers)


def _name(product: str) -> str:
    return f"{product.lower().replace(' ', '-')}.md"
