"""What Triton and its models print, as JSON lines."""

import io
import json

import pytest

from services.models.log_lines import LONGEST, Shaper, copy, shaped


@pytest.mark.parametrize(
    ("line", "level", "logger", "message"),
    [
        ("I1128 18:00:00.123456 17 server.cc:676] started", "info", "server.cc:676", "started"),
        ("W1128 18:00:00.123456 17 metrics.cc:1] odd", "warning", "metrics.cc:1", "odd"),
        ("E1128 18:00:00.123456 1234567 model.cc:9] failed: x", "error", "model.cc:9", "failed: x"),
        ("F1128 18:00:00.123456 17 a.cc:9] dead", "critical", "a.cc:9", "dead"),
        ("INFO 11-28 [core.py:77] Begins", "info", "stderr", "INFO 11-28 [core.py:77] Begins"),
        ("(EngineCore pid=7) WARNING 11-28 x", "warning", "stderr", "(EngineCore pid=7) WARNING 11-28 x"),
        ("2026-11-28 ERROR bad", "error", "stderr", "2026-11-28 ERROR bad"),
        ("Traceback (most recent call last):", "error", "stderr", "Traceback (most recent call last):"),
        ("torch.OutOfMemoryError: no memory", "error", "stderr", "torch.OutOfMemoryError: no memory"),
        ("Signal (11) received.", "error", "stderr", "Signal (11) received."),
        ("just words", "info", "stderr", "just words"),
        ("{not json", "info", "stderr", "{not json"),
        ('{"a": 1}', "info", "stderr", '{"a": 1}'),
        ("mail jo@example.com about it", "info", "stderr", "mail [email] about it"),
    ],
)  # fmt: skip
def test_a_line_has_its_level_and_its_words(line: str, level: str, logger: str, message: str) -> None:
    fields = json.loads(Shaper().line(line))
    assert (fields["level"], fields["service"], fields["logger"]) == (level, "triton", logger)
    assert fields["message"] == message
    assert fields["time"]


def test_an_indented_line_has_the_level_of_the_one_before_it() -> None:
    shaper = Shaper()
    lines = ["Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: bad", "on it goes"]
    assert [json.loads(shaper.line(line))["level"] for line in lines] == ["error", "error", "error", "info"]


def test_what_has_the_form_already_is_left_and_what_is_blank_is_left_out() -> None:
    record = b'{"time": "t", "level": "info", "service": "triton", "message": "m"}\n'
    assert list(shaped([record, b"\n", b"  \n"])) == [record]


def test_any_bytes_make_a_line() -> None:
    (line,) = shaped([b"\xff\x00" + b"x" * 3 * LONGEST])
    assert len(json.loads(line)["message"]) < LONGEST + 100  # a control character is written out


def test_a_full_disk_ends_nothing() -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    copy(io.BytesIO(b"a\nb\n"), Full())
