"""Keys and tokens in a text, by the forms that their issuers give them."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ahocorasick_rs import AhoCorasick

from gateway.guard.detector import Match, Scan, Window

_HEX = "[0-9a-f]"
# The number of a bot's account in base64: digits, of which the first is not 0.
_DISCORD = ("MT", "Mj", "Mz", "ND", "NT", "Nj", "Nz", "OD", "OT")
_KEY_BODY = (
    r"(?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{16,128}){1,110}"
    r"(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{1,16})?(?:[\s\\n]{0,8}-----END [A-Z ]{0,50}-----)?"
)
_PUTTY_BODY = r"\d{1,3}(?:[\s\\nr]{1,8}[A-Za-z0-9+/=]{16,64}){1,200}(?:[\s\\nr]{1,8}[A-Za-z0-9+/=]{1,16}(?![\w-]))?"
_KEY_HEAD, _PUTTY_HEAD = "-----BEGIN ", "Private-Lines: "
# What stands for a password in instructions.
_PLACEHOLDER = r"(?![$<{%*\[]|(?i:(?:your|my)?[_-]?(?:pass(?:word|wd|phrase)?|pwd|secret|token|key|x{3,}|\.{3}))@)"
# What stands between a name and what it is the name of: in programs, settings, JSON, XML, tables and sentences.
_IS = r"[\"'`*\])]{0,3}\s{0,8}(?:=>|:=|[=:>|,]|is(?=\s))[\s\"'`*]{0,8}"


def _named(*names: str) -> tuple[str, ...]:
    """Names as programs and people write them: `a_b`, `A_B`, `a-b`, `aB`, `AB` with small letters, `a b`, `A b`."""
    written: dict[str, None] = {}
    for name in names:
        words = name.split()
        camel = "".join(word.title() for word in words)
        for form in (
            *(mark.join(words) for mark in "_- "),
            name.upper().replace(" ", "_"),
            camel,
            camel[0].lower() + camel[1:],
            name.capitalize(),
            name.title(),
        ):
            written[form] = None
    return tuple(written)


# By category: what a secret begins with, and what follows that. Where a part is named `secret`, only that part is one.
FORMS: Mapping[str, Sequence[tuple[Sequence[str], str]]] = {
    "AWS_KEY": [(("AKIA", "ASIA", "ABIA", "ACCA"), r"[A-Z0-9]{16}(?![A-Z0-9])")],
    "AWS_SECRET": [(_named("secret access key", "aws secret key"), rf"{_IS}(?P<secret>[A-Za-z0-9/+]{{40}})(?![\w/+=])")],
    "AZURE_KEY": [
        (
            _named("account key", "shared access key", "storage key", "cosmos key", "primary key", "secondary key"),
            rf"{_IS}(?P<secret>[A-Za-z0-9+/]{{43,86}}={{1,2}})",
        ),
        (("8Q~", "7Q~"), r"[\w.~-]{30,33}[\w~-](?!\.?[\w~-])"),
        (("sig=",), r"(?P<secret>(?:[A-Za-z0-9+/]|%2[BbFf]){43}(?:%3[Dd]|=))(?![\w%=])"),  # a shared access signature
    ],
    "GITHUB_TOKEN": [
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{36,255}"),
        (("github_pat_",), r"\w{22,255}"),
    ],
    "GITLAB_TOKEN": [
        (
            (
                "glpat-",
                "gldt-",
                "glrt-",
                "glptt-",
                "glft-",
                "glsoat-",
                "glcbt-",
                "glimt-",
                "glagent-",
                "gloas-",
                "glffct-",
            ),
            r"[\w-]{20,64}(?:\.[\w-]{2,64}){0,2}",
        )
    ],
    "SLACK_TOKEN": [
        (("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"), r"[A-Za-z0-9-]{10,250}"),
        (("xapp-",), r"\d-[A-Za-z0-9-]{20,250}"),
        (("hooks.slack.com/services/",), r"(?P<secret>T\w{6,16}/B\w{6,16}/\w{16,32})"),
    ],
    "GOOGLE_KEY": [(("AIza",), r"[\w-]{35}"), (("GOCSPX-",), r"[\w-]{28}"), (("ya29.",), r"[\w-]{20,500}")],
    "STRIPE_KEY": [
        (("sk_live_", "rk_live_", "sk_test_", "rk_test_"), r"[A-Za-z0-9]{16,247}"),
        (("whsec_",), r"[A-Za-z0-9+/=]{24,100}"),
    ],
    "API_KEY": [
        (("sk-",), r"(?=[\w-]{0,40}\d)[\w-]{20,200}"),  # OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse
        (("gsk_",), r"[A-Za-z0-9]{40,64}"),  # Groq
        (("xai-",), r"[A-Za-z0-9]{70,100}"),
        (("pplx-",), r"[A-Za-z0-9]{40,64}"),  # Perplexity
        (("r8_",), r"[A-Za-z0-9]{37}"),  # Replicate
        (("nvapi-",), r"[\w-]{50,80}"),
        (("lsv2_pt_", "lsv2_sk_"), rf"{_HEX}{{32}}_{_HEX}{{10}}"),  # LangSmith
        (("pcsk_",), r"\w{40,100}"),  # Pinecone
        (("tvly-",), r"[\w-]{28,60}"),  # Tavily
        (("jina_",), r"[A-Za-z0-9]{40,80}"),
        (("fw_",), r"[A-Za-z0-9]{22,40}(?![A-Za-z0-9])"),  # Fireworks
    ],
    "HUGGINGFACE_TOKEN": [(("hf_", "api_org_"), r"[A-Za-z0-9]{30,64}")],
    "DATABRICKS_TOKEN": [(("dapi",), rf"{_HEX}{{32}}(?:-\d)?(?![0-9a-f])")],
    "REGISTRY_TOKEN": [
        (("npm_",), r"[A-Za-z0-9]{36}"),
        (("pypi-AgE",), r"[\w-]{50,500}"),
        (("dckr_pat_", "dckr_oat_"), r"[\w-]{20,60}"),
        (("rubygems_",), rf"{_HEX}{{48}}"),
    ],
    "CLOUD_TOKEN": [
        (("dop_v1_", "doo_v1_", "dor_v1_"), rf"{_HEX}{{64}}"),  # DigitalOcean
        (("hvs.", "hvb.", "hvr."), r"[\w-]{24,300}"),  # Vault
        (("pul-",), rf"{_HEX}{{40}}"),  # Pulumi
        (("HRKU-",), r"[\w-]{36,70}"),  # Heroku
        (("tskey-",), r"[a-z]{2,12}-[\w-]{10,80}"),  # Tailscale
        (("sbp_", "sb_secret_"), r"\w{20,60}"),  # Supabase
        (("pscale_tkn_", "pscale_pw_", "pscale_oauth_"), r"[\w=.-]{32,64}"),
        (("nfp_",), r"[A-Za-z0-9]{36,44}"),  # Netlify
        (("fm2_",), r"[A-Za-z0-9+/=]{80,1000}"),  # Fly
        (("fo1_",), r"[\w-]{43}(?![\w-])"),  # Fly
        (("AGE-SECRET-KEY-1",), r"[A-Z0-9]{58}"),
    ],
    "SERVICE_TOKEN": [
        (("SG.",), r"[\w-]{22}\.[\w-]{43}"),  # SendGrid
        (("key-",), rf"{_HEX}{{32}}(?![0-9a-f])"),  # Mailgun
        (("xkeysib-",), rf"{_HEX}{{64}}-\w{{16}}"),  # Brevo
        (("SK",), rf"{_HEX}{{32}}(?![0-9a-f])"),  # Twilio
        (("shpat_", "shpca_", "shppa_", "shpss_"), r"[0-9a-fA-F]{32}"),  # Shopify
        (("sq0atp-", "sq0csp-"), r"[\w-]{22,43}"),  # Square
        (("EAAA",), r"(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{60}(?![\w+/=-])"),  # Square
        (("lin_api_", "lin_oauth_"), r"[A-Za-z0-9]{32,64}"),  # Linear
        (("ntn_",), r"[A-Za-z0-9]{40,60}"),  # Notion
        (("secret_",), r"(?=[A-Za-z]*\d)[A-Za-z0-9]{43}(?!\w)"),  # Notion
        (_DISCORD, r"[\w-]{21,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
        (("ATATT3x", "ATCTT3x"), r"[\w=-]{50,400}"),  # Atlassian
        (("sntrys_", "sntryu_"), r"[\w+/=-]{40,400}"),  # Sentry
        (("glsa_", "glc_"), r"[\w+/=]{32,400}"),  # Grafana
        (("NRAK-",), r"[A-Z0-9]{27}"),  # New Relic
        (("PMAK-",), rf"{_HEX}{{24}}-{_HEX}{{34}}"),  # Postman
        (("dp.pt.", "dp.st.", "dp.sa."), r"[\w.-]{40,80}"),  # Doppler
        (("figd_",), r"[\w-]{38,60}"),  # Figma
        ((":AA",), r"[\w-]{33}(?![\w-])"),  # Telegram
        (("discord.com/api/webhooks/", "discordapp.com/api/webhooks/"), r"(?P<secret>\d{15,21}/[\w-]{50,90})"),
    ],
    "HEADWORKS_KEY": [(("hw_",), r"[\w-]{30,128}")],
    "JWT": [(("eyJ",), r"[\w-]{8,2048}\.eyJ[\w-]{8,2048}\.[\w-]{8,1024}")],
    "URL_PASSWORD": [
        (("://",), rf"[^\s:@/\\?#\"'<>`]{{0,64}}:(?P<secret>{_PLACEHOLDER}[^\s@/\\?#\"'<>`]{{3,128}})(?=@[\w\[])")
    ],
    "PRIVATE_KEY": [((_KEY_HEAD,), _KEY_BODY), ((_PUTTY_HEAD,), _PUTTY_BODY)],
}
CATEGORIES = tuple(FORMS)
# What the secret may stand right behind, as it is not its first characters that tell it.
_ANYWHERE = frozenset(("-----BEGIN ", _PUTTY_HEAD, "://", ":AA", "8Q~", "7Q~"))
# How much of what stands before is part of it.
_BEFORE = {":AA": re.compile(r"(?<!\d)\d{8,10}\Z", re.ASCII), "8Q~": re.compile(r"(?<!\w)\w{3}\Z", re.ASCII)}
_BEFORE["7Q~"] = _BEFORE["8Q~"]
_BEFORE["secret_"] = re.compile(r"(?<!\w)\Z", re.ASCII)
_LONGEST_BEFORE = 12
# What words end with too, or numbers in base64 have in them: such begin a secret at the edge of a word only.
_WORDS = frozenset(
    ("sk-", "key-", "SK", "SG.", "dapi", "r8_", "fw_", "ntn_", "pul-", "hvs.", "hvb.", "hvr.", "ya29.", "EAAA", *_DISCORD)
)
_RUN_BEFORE = re.compile(rf"(?<![\w+/=-])[\w+/=-]{{0,{_LONGEST_BEFORE - 1}}}[A-Za-z0-9]\Z", re.ASCII)
_NAMES = (*FORMS["AWS_SECRET"][0][0], *FORMS["AZURE_KEY"][0][0])
_SHORTEST_BODY, _FEWEST_DIGITS = 20, 2
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-+/=\\ \t\r\n"
_LONGEST, _LONGEST_KEY, _LONGEST_PREFIX = 5200, 16_000, 40
_AFTER = 2
# All but passwords in addresses and private keys are of one word, which is so long at least.
SHORTEST = 15
_LONG_WORD = re.compile(rf" [!-~]{{{SHORTEST}}}")
# A name, and what is the beginning of what stands behind it.
_LONGEST_NAMED = 160
_KEY_WORD = re.compile("[Kk]ey|KEY")
_OPEN_NAME = re.compile(
    rf"(?:{'|'.join(map(re.escape, _NAMES))})"
    r"[\"'`*\])]{0,3}\s{0,8}(?:i?s?|[=:>|,]{0,2})[\s\"'`*]{0,8}[A-Za-z0-9/+]{0,90}={0,2}\Z",
    re.ASCII,
)
_WHITE = "\n\t\r\v\f"


class Secrets:
    """`categories`: of CATEGORIES."""

    def __init__(self, categories: Sequence[str]) -> None:
        forms = [
            (prefix, name, re.compile(form, re.ASCII))
            for name in FORMS
            if name in categories
            for prefixes, form in FORMS[name]
            for prefix in prefixes
        ]
        self._forms = forms
        # What a name tells may stand behind any letters: it is not its first characters that do.
        self._named = frozenset(at for at, (_, _, form) in enumerate(forms) if "secret" in form.groupindex)
        self._prefixes = AhoCorasick([prefix for prefix, _, _ in forms], store_patterns=False)

    def scan(self, window: Window) -> Scan:
        view = window.plain
        text = view.text
        may_be_in = _may_be_in(text)
        if window.final and not may_be_in:
            return Scan((), len(window.text))
        start = view.index(window.start)
        open_from = len(text) if window.final else max(start, min(self._open_word(text), _open_key(text, start), _open_name(text)))
        found = list(self._find(text, start)) if may_be_in else []
        if found and not window.final:
            open_from = min(open_from, *(each.start for each in found if each.end > len(text) - _AFTER), open_from)
        matches = [Match(view.origin(each.start), view.end(each.end), each.category) for each in found]
        return Scan(matches, view.origin(open_from))

    def _find(self, text: str, start: int) -> Iterator[Match]:
        for number, at, after in self._prefixes.find_matches_as_indexes(text, overlapping=True):
            prefix, name, form = self._forms[number]
            first = _first(text, prefix, at)
            inside = first is not None and number not in self._named and prefix not in _BEFORE
            inside = inside and _is_inside(text, prefix, at)
            if first is None or (inside and not _may_begin_inside(text, prefix, at)):
                continue
            match = form.match(text, after)
            if match and (not inside or prefix.isupper() or _is_random(match[0])):
                part = match.span("secret") if "secret" in form.groupindex else (first, match.end())
                if part[0] >= start:
                    yield Match(*part, name)

    def _open_word(self, text: str) -> int:
        """Where, in the word that the text ends with, a secret may begin."""
        word = max(len(text.rstrip(_VISIBLE)), len(text) - _LONGEST)
        last = max(word, len(text) - _LONGEST_PREFIX)
        if last == word:
            return word
        begun = self._prefixes.find_matches_as_indexes(text[word:], overlapping=True)
        return min([last, *(max(word, word + at - _LONGEST_BEFORE) for _, at, _ in begun[:1])])


def _may_be_in(text: str) -> bool:
    """False where no secret is in a text. It is much faster than the automaton, which is cold when it is needed."""
    if not text.isascii() or "://" in text or _KEY_HEAD in text:
        return True
    spaced = f" {text}"
    for sign in _WHITE:
        if sign in text:
            spaced = spaced.replace(sign, " ")
    return _LONG_WORD.search(spaced) is not None


def _first(text: str, prefix: str, at: int) -> int | None:
    """Where a secret begins that has its prefix there; None where what must stand before it does not."""
    if before := _BEFORE.get(prefix):
        match = before.search(text, max(at - _LONGEST_BEFORE, 0), at)
        return match.start() if match else None
    return at


def _is_inside(text: str, prefix: str, at: int) -> bool:
    """Whether what begins there is in the middle of a word."""
    return at > 0 and prefix not in _ANYWHERE and text[at - 1].isascii() and text[at - 1].isalnum()


def _may_begin_inside(text: str, prefix: str, at: int) -> bool:
    """Whether a secret may begin there although a letter is before it: the word before is short, and its beginning is
    no word's."""
    if prefix in _WORDS or (prefix.isupper() and not text[at - 1].islower()):
        return False
    return _RUN_BEFORE.search(text, max(at - _LONGEST_BEFORE - 1, 0), at) is not None


def _is_random(secret: str) -> bool:
    return sum(map(str.isdigit, secret)) >= _FEWEST_DIGITS and sum(map(str.isalnum, secret)) >= _SHORTEST_BODY


def _open_key(text: str, start: int) -> int:
    """Where a private key begins that has not ended."""
    lowest = max(start, len(text) - _LONGEST_KEY)
    begins = max(lowest, len(text.rstrip(_KEY)))
    at = text.find(_KEY_HEAD, begins)
    if at < 0:
        at = text.find(_PUTTY_HEAD, max(lowest, begins - len(_PUTTY_HEAD)))
    return at if at >= 0 else len(text)


def _open_name(text: str) -> int:
    """Where the name begins of a secret that the text ends with or in, as far as it may be one."""
    lowest = max(len(text) - _LONGEST_NAMED, 0)
    name = _OPEN_NAME.search(text, lowest) if _KEY_WORD.search(text, lowest) else None
    return name.start() if name else len(text)
