"""A cross-encoder: query and text read together, one number out. BERT's form, with any weights the operator has."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Encoding, Tokenizer

from services.models.bert import Bert, Form, Weights
from services.models.device import Device, processor
from services.models.encoder import MAX_CHARACTERS, batches
from services.models.rerank.check import CannotRerank, read_config
from services.models.rerank.pairs import MOST_QUERY_TOKENS, Pair, Scored

PREFIX = "bert."
LAST = ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")


class CrossEncoder:
    """The model of a folder in Hugging Face form, on a device, by default the processor. A Reranker, whose score is the
    logit's sigmoid."""

    def __init__(self, folder: Path, device: Device | None = None) -> None:
        config, device = read_config(folder), device or processor()
        form = Form(config.heads, config.epsilon, PREFIX)
        weights = Weights(folder / "model.safetensors", device.dtype, form, device.at)
        self._tokens = device.tokens
        self._positions = config.positions
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        try:
            self._bert = Bert(weights, device.groups)
            # The processor's, as the states are that they are multiplied with: one of each text.
            self._pooler, self._pooler_bias, self._head, self._bias = (weights[name].cpu() for name in LAST)
        except KeyError as error:
            raise CannotRerank(f"{folder}/model.safetensors has no {error}") from error

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        encodings = [self._encode(pair) for pair in pairs]
        scored: dict[int, Scored] = {}
        for batch in batches([len(encoding.ids) for encoding in encodings], self._tokens):
            chosen = [encodings[number] for number in batch]
            for number, encoding, score in zip(batch, chosen, self._scores(chosen), strict=True):
                scored[number] = Scored(score, len(encoding.ids))
        return [scored[number] for number in range(len(pairs))]

    @torch.inference_mode()
    def _scores(self, encodings: Sequence[Encoding]) -> list[float]:
        firsts = [encoding.type_ids.index(1) if 1 in encoding.type_ids else len(encoding) for encoding in encodings]
        states = self._bert([encoding.ids for encoding in encodings], firsts)
        heads = torch.stack([state[0] for state in states])
        pooled = torch.tanh(heads @ self._pooler.float().T + self._pooler_bias.float())
        logits = pooled @ self._head.float().T + self._bias.float()
        scores: list[float] = torch.sigmoid(logits.squeeze(1)).tolist()
        return scores

    def _encode(self, pair: Pair) -> Encoding:
        """The pair with its markers, the text cut to its own limit and to what the model's positions leave."""
        query = self._tokenizer.encode(pair.query[:MAX_CHARACTERS], add_special_tokens=False)
        query.truncate(min(MOST_QUERY_TOKENS, self._positions // 2))
        text = self._tokenizer.encode(pair.text[:MAX_CHARACTERS], add_special_tokens=False)
        markers = self._tokenizer.num_special_tokens_to_add(is_pair=True)
        text.truncate(min(pair.text_tokens, self._positions - len(query) - markers))
        return self._tokenizer.post_process(query, text)
