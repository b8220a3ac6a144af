"""Keys and tokens."""

import re

import pytest

from gateway.guard.secret_forms import CATEGORIES, FORMS
from gateway.guard.secrets import SHORTEST, Secrets
from tests.unit.gateway.guard.scans import found, held

DETECTOR = Secrets(CATEGORIES)
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n" * 20
    + "ab==\n-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
BODY = "aB3dE5fG7h" * 10
PUTTY = f"Private-Lines: 2\n{BODY[:64]}\n{BODY[:20]}=="

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
    ("GITLAB_TOKEN", "glrt-" + "x1y2z" * 4),
    ("SLACK_TOKEN", "xapp-1-A012-3456-" + "abc0" * 8),
    ("GOOGLE_KEY", "GOCSPX-" + "aB3_" * 7),
    ("STRIPE_KEY", "rk_test_" + "4eC39HqLyjWD" * 2),
    ("STRIPE_KEY", "whsec_" + "aB3d" * 8),
    ("API_KEY", "sk-ant-api03-" + "aB3-" * 20),
    ("API_KEY", "gsk_" + "aB3d" * 13),
    ("API_KEY", "xai-" + "aB3d" * 20),
    ("API_KEY", "pplx-" + "aB3d" * 12),
    ("API_KEY", "r8_" + "aB3d" * 9 + "a"),
    ("API_KEY", "nvapi-" + "aB3_" * 16),
    ("API_KEY", "lsv2_pt_" + "0af3" * 8 + "_" + "0123456789"),
    ("DATABRICKS_TOKEN", "dapi" + "0af3" * 8),
    ("REGISTRY_TOKEN", "npm_" + "aB3d" * 9),
    ("REGISTRY_TOKEN", "pypi-AgEIcHlwaS5vcmc" + "aB3_" * 20),
    ("REGISTRY_TOKEN", "dckr_pat_" + "aB3_" * 6 + "abc"),
    ("CLOUD_TOKEN", "dop_v1_" + "0af3" * 16),
    ("CLOUD_TOKEN", "hvs." + "CAESI" * 8),
    ("CLOUD_TOKEN", "AGE-SECRET-KEY-1" + "Q" * 58),
    ("SERVICE_TOKEN", "SG." + "aB3_" * 5 + "ab." + "aB3-" * 10 + "abc"),
    ("SERVICE_TOKEN", "shpat_" + "0aF3" * 8),
    ("SERVICE_TOKEN", "SK" + "0af3" * 8),
    ("SERVICE_TOKEN", "key-" + "0af3" * 8),
    ("SERVICE_TOKEN", "123456789:AA" + "abc_1-2" * 4 + "abcde"),
    ("SERVICE_TOKEN", "glsa_" + "aB3d" * 8 + "_01234567"),
    ("AZURE_KEY", "abc8Q~" + "aB3." * 8 + "a"),
    ("AZURE_KEY", "abc7Q~" + "aB3." * 8 + "ab"),
    ("CLOUD_TOKEN", "fo1_" + BODY[:43]),
    ("SERVICE_TOKEN", "EAAA" + BODY[:60]),
    ("SERVICE_TOKEN", "secret_" + BODY[:43]),
    ("SERVICE_TOKEN", "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde." + BODY[:27]),
    ("SERVICE_TOKEN", "ODc2NTQzMjEwOTg3NjU0MzIxMA.G-b_de." + BODY[:38]),
    ("PRIVATE_KEY", PUTTY),
    ("PRIVATE_KEY", PUTTY.replace("\n", "\\r\\n")),
    ("PRIVATE_KEY", PEM),
    ("PRIVATE_KEY", PEM.replace("\n", "\\n")),
    ("PRIVATE_KEY", PEM[: PEM.index("ab==")].strip()),
]

NEAR = [
    "AKIA", "AKIAIOSFODNN7EXAMPL", "XAKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLEX", "ghp_short",
    "task-force-" + "a1" * 20,
    "sk-this-is-not-a-key-but-words", "xoxb-1", "eyJ.eyJ.x", "hw_short", "the hf_ prefix", "glpat-x",
    "SK" + "0af3" * 7, "monkey-" + "0af3" * 8, "risk-2024-report-number-1", "npm_config_registry", "hw_id",
    "key-value-store",
    "10:AA" + "a" * 33, "SG.1.2", "dapi_version_1", "hvs.short", "gsk_x", "SKU" + "0af3" * 8,
    "EAAA" + BODY[:61], "EAAA" + "B" * 60, "x" * 20 + "EAAA" + BODY[:60], "secret_" + BODY[:42],
    "client_secret_" + BODY[:43],
    "secret_" + "a_name_of_a_thing_" * 3, "MTIz.abc.def", "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcd." + BODY[:27],
    "PTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde." + BODY[:27], "fo1_" + BODY[:20], "Private-Lines: 14", "sig=" + BODY[:43],
    "1123456789012:AA" + "a" * 33, "aws_secret_access_key = see_the_vault", "Secret access key: " + "a" * 41,
    "AccountKey: " + BODY[:60], "the account key is needed", "Private-Lines: 2\nNothing is here",
    "-----BEGIN PUBLIC KEY-----\n" + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n",
    "-----BEGIN PRIVATE KEY----- is how the header of a key file reads",
    "-----BEGIN CERTIFICATE-----\n" + "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn\n",
]  # fmt: skip

NAMED = (
    "{n} = {{}}", "{n}={{}}", "{n}: {{}}", '"{n}": "{{}}"', '"{n}":"{{}}"', "{n}: '{{}}'", "| {n} | {{}} |",
    "{n} => {{}}",
    "export {n}={{}}", "{n} := `{{}}`", "<{n}>{{}}</{n}>", "**{n}:** `{{}}`", "the {n} is {{}}.", "{n}：{{}}",
    "{n}\t=\t{{}}", "{n}:\n{{}}",
)  # fmt: skip
# By category: names that tell a secret, and one.
TOLD = [
    ("AWS_SECRET", ("aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey",
                    "Secret access key", "Secret Access Key", "aws-secret-access-key", "AWS_SECRET_KEY"), "aB3/" * 10),
    ("AZURE_KEY", ("AccountKey", "accountKey", "account_key", "AZURE_STORAGE_KEY", "SharedAccessKey", "Account key",
                   "AZURE_STORAGE_ACCOUNT_KEY"), "aB3/" * 21 + "ab=="),
]  # fmt: skip

# Where a part of the words is the secret.
WITHIN = [
    ("AWS_SECRET", "aws_secret_access_key={}", "aB3/" * 10),
    ("AWS_SECRET", '"AWS_SECRET_ACCESS_KEY":"{}"', "aB3+" * 10),
    ("AZURE_KEY", "AccountName=a;AccountKey={};EndpointSuffix=x", "aB3/" * 21 + "ab=="),
    ("URL_PASSWORD", "postgres://app:{}@db.internal:5432/app", "hunter22"),
    ("URL_PASSWORD", "redis://:{}@cache:6379/0", "s3cr3t-pw"),
    ("URL_PASSWORD", "see https://jo:{}@example.com/x.", "a%40b!c"),
    ("SLACK_TOKEN", "https://hooks.slack.com/services/{}", "T012AB3CD/B012AB3CD/" + "aB3d" * 6),
    ("SERVICE_TOKEN", "https://discord.com/api/webhooks/{}", "123456789012345678/" + "aB3_" * 17),
]

TELEGRAM = "123456789:AA" + "abc_1-2" * 4 + "abcde"
WITHIN += [
    *[("SERVICE_TOKEN", form, TELEGRAM) for form in (
        "https://api.telegram.org/bot{}/getMe", "bot{}", "token:{}", "token：{}", "密钥是：{}。", "TOKEN={}", "Bot{},",
    )],
    ("AZURE_KEY", "it is {}. Keep it", "abc8Q~" + "aB3." * 7 + "abc"),
    ("AZURE_KEY", "https://a.blob.core.windows.net/c?sv=1&sig={}&se=2", "aB3" * 13 + "a%2F%2B" + "b%3D"),
    ("AZURE_KEY", "?sig={}", BODY[:43] + "="),
]  # fmt: skip

NO_PASSWORDS = [
    "postgres://user:password@localhost/db", "https://user:<password>@host", "http://u:$PASSWORD@h", "http://u:{pw}@h",
    "https://example.com:8080/@jo", "https://example.com/a:b@c", "amqp://guest:***@mq", "ws://a:xxxx@b", "http://h:80/",
]  # fmt: skip


@pytest.mark.parametrize(("category", "form", "secret"), WITHIN)
def test_a_secret_among_other_words(category: str, form: str, secret: str) -> None:
    assert found(DETECTOR, form.format(secret)) == [(category, secret)]


@pytest.mark.parametrize(
    ("category", "form", "secret"),
    [(category, form.format(n=name), secret) for category, names, secret in TOLD for name in names for form in NAMED],
)
def test_a_secret_that_its_name_tells(category: str, form: str, secret: str) -> None:
    assert found(DETECTOR, form.format(secret)) == [(category, secret)]


@pytest.mark.parametrize(
    ("form", "secret"), [(form.format(n=TOLD[0][1][4]), TOLD[0][2]) for form in NAMED] + [("{}", PUTTY)]
)
def test_a_secret_that_its_name_tells_is_held_back_from_that_on(form: str, secret: str) -> None:
    said = form.format(secret)
    begins = said.index(secret)
    for length in range(begins + 1, begins + len(secret)):
        assert secret[: length - begins] in held(DETECTOR, f"Here: {said[:length]}")


@pytest.mark.parametrize("text", NO_PASSWORDS)
def test_what_stands_for_a_password_is_none(text: str) -> None:
    assert found(DETECTOR, text) == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key{}", "AKIAIOSFODNN7EXAMPLE"),
        ("{}x", "AKIAIOSFODNN7EXAMPLE"),
        *[
            (f"{before}{{}}", secret)
            for before in ("x", "token", "my_tok", "1")
            for secret in ("ghp_" + "a1B2" * 9, "hw_" + "aB3_-" * 8, "npm_" + "aB3d" * 9, "glpat-" + "x1y2z" * 4, JWT)
        ],
    ],
)
def test_a_secret_beside_other_letters(text: str, secret: str) -> None:
    assert [said for _, said in found(DETECTOR, text.format(secret))] == [secret]


@pytest.mark.parametrize(
    "text", ["a" * 40 + "ghp_" + "a1B2" * 9, "xhw_" + "long_name_of_a_thing" * 3, "xfw_" + "a1B2" * 6]
)
def test_long_words_and_names_are_no_secret(text: str) -> None:
    assert found(DETECTOR, text) == []


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


def test_no_secret_is_shorter_than_the_words_that_are_looked_at() -> None:
    apart = ("URL_PASSWORD", "PRIVATE_KEY")
    shortest = {
        prefix: len(prefix) + re._parser.parse(form).getwidth()[0]  # type: ignore[attr-defined]
        for name in FORMS
        if name not in apart
        for prefixes, form in FORMS[name]
        for prefix in prefixes
    }
    assert min(shortest.values()) == SHORTEST, min(shortest, key=lambda prefix: shortest[prefix])


@pytest.mark.parametrize(
    "before", ["", "a ", "a\n", "a\t", "a\r\n", "a\v", "a\f", "key=", "密钥", "(", "\u2003", "\x00"]
)
@pytest.mark.parametrize("secret", ["xoxb-1234567890", "sk-" + "a1" * 10, "AKIAIOSFODNN7EXAMPLE"])
def test_a_secret_is_found_behind_every_white_space(before: str, secret: str) -> None:
    assert found(DETECTOR, f"{before}{secret}"), (before, secret)
