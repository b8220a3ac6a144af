"""Signatures of the gateway under what the audit was at a time, with the key that it signs identity tokens with."""

import base64
import binascii
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from gateway.audit.chain import FIRST_CHAIN

# No token begins like this: one signature is never taken for the other.
CHECKPOINT = "headworks audit checkpoint v3"
# From when there was one chain; nothing is signed so any more.
ONE_CHAIN = "headworks audit checkpoint v2"
# Did not say whether it was an ordinary checkpoint or a mark of pruning; nothing is signed so any more.
UNSPECIFIED = "headworks audit checkpoint v1"
PRUNING = "headworks audit pruning v1"
EXPORT = "headworks audit export v1"
WRONG_KEY = "the audit is signed with an Ed25519 key"


class Seal:
    """Signs. `former`: PEM of the public keys of before, whose signatures stay good. ValueError for a key that is not
    Ed25519."""

    def __init__(self, private_key_pem: bytes, former: Iterable[bytes] = ()) -> None:
        key = load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(WRONG_KEY)
        self._key = key
        self.check = SealCheck([key.public_key(), *map(_public, former)])

    def sign(self, purpose: str, text: str) -> str:
        """In base64."""
        return base64.b64encode(self._key.sign(f"{purpose}\n{text}".encode())).decode()


class SealCheck:
    """Checks signatures: one of the keys has made a good one."""

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, *public_keys_pem: bytes) -> "SealCheck":
        """ValueError for what is no Ed25519 public key."""
        return cls([_public(pem) for pem in public_keys_pem])

    def good(self, purpose: str, text: str, signature: str) -> bool:
        try:
            decoded = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        signed = f"{purpose}\n{text}".encode()
        return any(_verifies(key, decoded, signed) for key in self._keys)


def _public(pem: bytes) -> Ed25519PublicKey:
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(WRONG_KEY)
    return key


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def checkpoint_text(number: int, time: float, heads: str) -> str:
    """What is signed at a checkpoint. `heads` is JSON."""
    return f"{number} {time!r} {heads}"


def one_chain_text(sequence: int, hash_: str, time: float) -> str:
    """What was signed when there was one chain."""
    return f"{sequence} {hash_} {time!r}"


def pruning_text(chain: int, sequence: int, hash_: str, time: float, rule: str) -> str:
    """What is signed of a pruning: all records of the chain up to `sequence` were removed by this rule. Of the first
    chain it is said as when there was no other."""
    place = f"{sequence}" if chain == FIRST_CHAIN else f"{chain}:{sequence}"
    return f"{place} {hash_} {time!r} {rule}"
