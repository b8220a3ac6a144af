"""The forms that issuers give their keys and tokens, and the names that tell one."""

from collections.abc import Mapping, Sequence

_HEX = "[0-9a-f]"
# The number of a bot's account in base64: digits, of which the first is not 0.
DISCORD = ("MT", "Mj", "Mz", "ND", "NT", "Nj", "Nz", "OD", "OT")
_KEY_BODY = (
    r"(?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{16,128}){1,110}"
    r"(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{1,16})?(?:[\s\\n]{0,8}-----END [A-Z ]{0,50}-----)?"
)
_PUTTY_BODY = r"\d{1,3}(?:[\s\\nr]{1,8}[A-Za-z0-9+/=]{16,64}){1,200}(?:[\s\\nr]{1,8}[A-Za-z0-9+/=]{1,16}(?![\w-]))?"
KEY_HEAD, PUTTY_HEAD = "-----BEGIN ", "Private-Lines: "
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
    "AWS_SECRET": [
        (_named("secret access key", "aws secret key"), rf"{_IS}(?P<secret>[A-Za-z0-9/+]{{40}})(?![\w/+=])")
    ],
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
        (DISCORD, r"[\w-]{21,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])"),
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
    "PRIVATE_KEY": [((KEY_HEAD,), _KEY_BODY), ((PUTTY_HEAD,), _PUTTY_BODY)],
}
CATEGORIES = tuple(FORMS)
# Names that tell a secret.
NAMES = (*FORMS["AWS_SECRET"][0][0], *FORMS["AZURE_KEY"][0][0])
