"""`headworks accounts`."""

import click

from cli.principals import SERVICE_ACCOUNT, add_verbs


@click.group()
def accounts() -> None:
    """Make, list, suspend and delete service accounts: programs that come with an API key.

    \b
    Examples:
      headworks accounts create indexer --role developer
      headworks keys create svc_… --name "the indexer's"
      headworks accounts list
    """


add_verbs(accounts, SERVICE_ACCOUNT, "service account")
