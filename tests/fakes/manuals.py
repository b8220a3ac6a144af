"""Manuals of products that differ in their name and their figures alone."""

from dataclasses import dataclass

NAMES = ("AquaMax", "HydroPro", "WaterFlow", "TideLine")


@dataclass(frozen=True, slots=True)
class Manual:
    """A product's manual in Markdown. The section on its tank says the product's name nowhere but in the title."""

    product: str
    litres: int

    @property
    def id(self) -> str:
        return f"{self.product.lower().replace(' ', '-')}.md"

    @property
    def text(self) -> str:
        return f"""# {self.product} manual

This manual tells how to use the pump safely.

## Tank

The tank holds {self.litres} litres of water. Fill it up to the line and close the lid.

## Warranty

The warranty lasts for {self.litres % 5 + 1} years from the day of purchase. Keep the bill.
"""


def manuals(count: int) -> list[Manual]:
    """Manuals of so many products, no two of which have the same number."""
    return [Manual(f"{NAMES[number % len(NAMES)]} X{200 + 7 * number}", 10 + number) for number in range(count)]
