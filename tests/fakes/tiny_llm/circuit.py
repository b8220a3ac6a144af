"""How the network begins: with the wiring to copy from its context in place, which training would take minutes to find.

Of the residual stream of 128, the first half holds the token itself, the third quarter the token before it, and the
fourth the one before that. The first layer's heads fill the last two. The second layer's heads attend to the places
that follow the same two tokens as stand here, and add the token found there. All of it is trained further.
"""

import torch
from transformers import LlamaForCausalLM

WIDTH = 32  # of a head
TOKEN, SPREAD = 64, 0.05  # the token's share of the stream, and the size of its values
BEFORE = {1: 64, 2: 96}  # by tokens back, where in the stream
LOOK, MATCH, CARRY, COPY = 8.0, 2.2, 0.035, 0.1
# A head's dimensions that rotation hardly turns, so that what is alike is found at any distance.
SLOW = [*range(6, 16), *range(22, 32)]


@torch.no_grad()
def begin(model: LlamaForCausalLM) -> None:
    """Sets the weights of `model`, which is 128 wide with four heads in each of two layers or more."""
    embedding = model.model.embed_tokens.weight
    embedding.normal_(std=SPREAD)
    embedding[:, TOKEN:] = 0
    for head, (back, place) in enumerate(BEFORE.items()):
        _look_back(model, head, back, place)
    for head in range(4):
        _follow(model, head)


def _look_back(model: LlamaForCausalLM, head: int, back: int, place: int) -> None:
    """A head of the first layer that writes the token `back` places before to `place` in the stream.

    Query and key are constant, from biases: rotation leaves of their product cos(distance - back) for each frequency.
    """
    attention, frequencies = model.model.layers[0].self_attn, model.model.rotary_emb.inv_freq
    own = slice(head * WIDTH, (head + 1) * WIDTH)
    for each in (attention.q_proj, attention.k_proj, attention.v_proj):
        each.weight[own] = 0
    attention.q_proj.bias[own] = LOOK * torch.cat([torch.ones_like(frequencies), torch.zeros_like(frequencies)])
    attention.k_proj.bias[own] = LOOK * torch.cat([torch.cos(back * frequencies), torch.sin(back * frequencies)])
    attention.v_proj.weight[own, :WIDTH] = torch.eye(WIDTH)
    attention.o_proj.weight[:, own] = 0
    attention.o_proj.weight[place : place + WIDTH, own] = CARRY * torch.eye(WIDTH)


def _follow(model: LlamaForCausalLM, head: int) -> None:
    """A head of the second layer: attends where these two tokens stand before, and copies a quarter of the token."""
    attention = model.model.layers[1].self_attn
    own = slice(head * WIDTH, (head + 1) * WIDTH)
    for each in (attention.q_proj, attention.k_proj, attention.v_proj):
        each.weight[own] = 0
    half = len(SLOW) // 2
    first = 7 * head  # other parts of the token for each head
    for number, place in enumerate(SLOW):
        row, part = head * WIDTH + place, first + number % half
        here, there = (part, BEFORE[1] + part) if number < half else (BEFORE[1] + part, BEFORE[2] + part)
        attention.q_proj.weight[row, here] = MATCH
        attention.k_proj.weight[row, there] = MATCH
    quarter = TOKEN // 4
    taken = slice(head * quarter, (head + 1) * quarter)
    attention.v_proj.weight[head * WIDTH : head * WIDTH + quarter, taken] = torch.eye(quarter)
    attention.o_proj.weight[:, own] = 0
    attention.o_proj.weight[taken, head * WIDTH : head * WIDTH + quarter] = COPY * torch.eye(quarter)
