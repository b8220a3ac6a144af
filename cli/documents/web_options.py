"""The options that say how sites are walked."""

from typing import Any

import click

PAGES, BYTES, DELAY = 500, 200 << 20, 1.0


def web_options(verb: Any) -> Any:
    """--depth, --max-pages, --max-bytes, --delay, --below and --allow-private."""
    for option in reversed((
        click.option("--depth", type=click.IntRange(0, 20), default=0, show_default=True,
                     help="Of an address: follow links so many times."),
        click.option("--max-pages", type=click.IntRange(1, 100_000), default=PAGES, show_default=True,
                     help="Pages of one address at most."),
        click.option("--max-bytes", type=click.IntRange(1), default=BYTES, show_default=True,
                     help="Bytes of one address at most."),
        click.option("--delay", type=click.FloatRange(0, 60), default=DELAY, show_default=True,
                     help="Seconds between two requests; robots.txt may ask for more."),
        click.option("--below", is_flag=True, help="Follow links below the folder of the address only."),
        click.option("--allow-private", is_flag=True, help="Ask hosts in private networks, too."),
    )):  # fmt: skip
        verb = option(verb)
    return verb
