"""Keys and tokens."""

import pytest

from gateway.guard.secrets import CATEGORIES, Secrets
from tests.unit.gateway.guard.scans import found, held

DETECTOR = Secrets(CATEGORIES)
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n" * 20
    + "ab==\n-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

HITS = [
    ("AWS_KEY", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_KEY", "ASIAIOSFODNN7EXAMPLE"),
    ("GITHUB_TOKEN", "ghp_" + "a1B2" * 9),
    ("GITHUB_TOKEN", "github_pat_" + "11ABCDEFG0" * 4),
    ("GITLAB_TOKEN", "glpat-" + "x1y2z" * 4),
    ("SLACK_TOKEN", "xoxb-123456789012-abcdefABCDEF"),
    ("GOOGLE_KEY", "AIza" + "Sy1_-" * 7),
    ("STRIPE_KEY", "sk_live_" + "4eC39HqLyjWD" * 2),
    ("API_KEY", "sk-proj-" + "abc123DEF456" * 4),
    ("API_KEY", "sk-" + "T3BlbkFJ" * 6),
    ("HUGGINGFACE_TOKEN", "hf_" + "abcdefgh12" * 3 + "abcd"),
    ("HEADWORKS_KEY", "hw_" + "aB3_-" * 8),
    ("JWT", JWT),
    ("PRIVATE_KEY", PEM),
    ("PRIVATE_KEY", PEM.replace("\n", "\\n")),
    ("PRIVATE_KEY", PEM[: PEM.index("ab==")].strip()),
]

NEAR = [
    "AKIA", "AKIAIOSFODNN7EXAMPL", "XAKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLEX", "ghp_short",
    "task-force-" + "a1" * 20,
    "sk-this-is-not-a-key-but-words", "xoxb-1", "eyJ.eyJ.x", "hw_short", "the hf_ prefix", "glpat-x",
    "-----BEGIN PUBLIC KEY-----\n" + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n",
    "-----BEGIN PRIVATE KEY----- is how the header of a key file reads",
    "-----BEGIN CERTIFICATE-----\n" + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n",
]  # fmt: skip


@pytest.mark.parametrize(("category", "secret"), HITS)
@pytest.mark.parametrize("around", ["{}", "the key is {}, keep it", "密钥{}。", '"{}"'])
def test_what_it_is(category: str, secret: str, around: str) -> None:
    assert found(DETECTOR, around.format(secret)) == [(category, secret)]


@pytest.mark.parametrize("text", NEAR)
def test_what_only_looks_like_it(text: str) -> None:
    assert found(DETECTOR, text) == []


def test_a_key_is_held_back_from_its_beginning() -> None:
    for length in range(1, len(PEM)):
        assert held(DETECTOR, "Here: " + PEM[:length]).startswith(PEM[:length][:12])


def test_prose_is_held_back_for_a_word_at_most() -> None:
    assert held(DETECTOR, "Good morn") == "morn"
    assert held(DETECTOR, "Good morning, ") == ""
