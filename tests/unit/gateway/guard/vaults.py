"""Vaults that hold something."""

from gateway.guard.detector import Match
from gateway.guard.vault import Vault


def vault_of(category: str, *originals: str) -> Vault:
    vault = Vault()
    for original in originals:
        vault.placeholder(Match(0, len(original), category), original)
    return vault
