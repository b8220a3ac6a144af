"""Ten megabytes made to be slow are screened in time linear in their length: within a bound on the processor's time
that what is quadratic misses by far, however busy the machine is."""

import subprocess
import sys

import pytest

# A stretch of this many characters takes what is quadratic in it a hundred times as long as the whole may take.
STRETCH, WHOLE = 200_000, 10_000_000
CPU_SECONDS = 120
DETECTORS = {
    "links": "Links(['example.com'])",
    "pii": "PersonalData(CATEGORIES, ('US', 'CN', 'GB', 'DE', 'FR', 'IN', 'JP', 'BR'))",
    "secrets": "Secrets(secrets.CATEGORIES)",
    "injection": "RulesDetector()",
}
PIECES = [
    "1 ", "1-", "(1", "+1", "4", "4 ", "22 ", "2222 ", "6304/", "4111 ", "1.2.3.4 ", "123456789012345 ", "00 49 30 ",
    "202-555-0123 ", "020 7946 0958 / ", "DE89", "DE89 ", "AB12 ", "A1_", "a@", "a.a@a.", "a.", "a-", "a+", "a:", "//",
    "/\\", "[.]", "a dot ", "http:", "http:a.", "https://", "https://a", "https://example.com", "https://example.com$@",
    "https://敏", "敏", "&#58;", "&", "](", 'href="', 'href="\n', "data:text/html", "javascript:a", "mailto:a",
    "x.com/",
    "sk-", "hw_", "AKIA", "eyJ", "eyJaaaaaaaaa.eyJaaaaaaaaa.", "://a:b", "-----BEGIN ", "aws_secret_access_key=",
    "-----BEGIN PRIVATE KEY-----" + "A" * 60 + "\n", "ignore ", "ignore all the your ", "ignora todas ", "忽略",
    "note to ai ", 'https://a"@b.c', 'http:example.com"@example.com', "https://a／", "href='a ", "](<a ", "+49 ",
    "de89 ",
    "0123 0456 ", "0170 1234567 ", "xghp_", "a@敏",
]  # fmt: skip
PROGRAM = """
import resource
import sys
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
from gateway.guard import secrets
from gateway.guard.detector import Window
from gateway.guard.injection.rules import Rules
from gateway.guard.links import Links
from gateway.guard.personal.detector import CATEGORIES, PersonalData
from gateway.guard.secrets import Secrets

class RulesDetector:
    def scan(self, window):
        Rules().find(window.text)

pieces, stretch, whole = eval(sys.stdin.read())
detector = {detector}
# Each repeated, one after another, until the whole is there.
each = min(stretch, whole // len(pieces))
text = "\\n".join(piece * (each // len(piece) + 1) for piece in pieces)
for final in (True, False):
    detector.scan(Window(text, final=final))
print(len(text))
"""


@pytest.mark.parametrize("name", DETECTORS)
def test_a_long_text_made_to_be_slow_is_screened(name: str) -> None:
    program = PROGRAM.replace("{detector}", DETECTORS[name]).replace("{seconds}", str(CPU_SECONDS))
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=repr((PIECES, STRETCH, WHOLE)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= WHOLE * 0.9
