"""`headworks users`."""

import click

from cli.principals import USER, add_verbs


@click.group()
def users() -> None:
    """Make, list, suspend and delete users. A user's name is the subject of the tokens that its issuer makes.

    \b
    Examples:
      headworks users create ada@example.com --role developer
      headworks users list
      headworks users suspend usr_…
    """


add_verbs(users, USER, "user")
