"""Phrases of known attacks. They are few and narrow: a rule decides alone, and the model is for the rest.

Matched by RE2, all in one pass, in time linear in the text, over text with its disguises off (no accents, lower case);
the oldest attack in other languages than English by the lexicon.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import re2

from gateway.guard.injection.phrases import EXTRACTION, OVERRIDE, Phrases
from gateway.guard.normalize import SEARCH

_EN_IGNORE = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|discard|neglect|pay no attention to|set aside|stop following"
    r"|(?:do not|don't|never) (?:follow|obey|listen to|comply with|adhere to))"
)
_EN_ANY = "(?:all|any|every|each|and|the|these|those|of|other|such)"
_EN_OLD = (
    "(?:your|my|our|previous|previously|prior|above|earlier|preceding|former|past|initial|original|existing|old|system"
    "|safety|developer|openai|given|programmed|built-in|current)"
)
_EN_RULES = (
    "(?:instructions?|prompts?|rules|guidelines|directions|directives|orders|commands|programming|restrictions|training"
    "|guardrails|guidance|policies)"
)
_EN_BEFORE = (
    "(?:above|before this|(?:that |which )?(?:you (?:were|have been|had been|got|have|received)|i (?:gave|told)|(?:were )?"
    "given (?:to you|before|earlier|above)|came before|precede))"
)
_EN_PROMPT = (
    "(?:system (?:prompt|message|instructions?)|(?:hidden|secret|initial|original|confidential|internal) "
    "(?:prompt|instructions|rules)|(?:text|words|everything|message) above)"
)


# Where the automaton of all patterns has less it finds nothing.
_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """What a rule found: how sure that is, 0 to 1, and the rule's name."""

    score: float
    rule: str


# By name: the score, and the patterns. A space stands for any white space. From a score of 1 on a policy's threshold
# does not matter.
RULES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    OVERRIDE: (
        1.0,
        (
            rf"\b{_EN_IGNORE} (?:{_EN_ANY} ){{0,4}}{_EN_OLD} (?:(?:{_EN_ANY}|{_EN_OLD}) ){{0,3}}{_EN_RULES}\b",
            rf"\b{_EN_IGNORE} (?:{_EN_ANY} ){{0,3}}{_EN_RULES} {_EN_BEFORE}\b",
            r"\b(?:ignore|disregard|forget) (?:everything|all|anything)(?: that)? (?:(?:you (?:were|have been|had been)"
            r"|i (?:have )?) ?(?:told|taught|instructed|given|said)|(?:you have )?(?:learned|read) (?:so far|before)"
            r"|above|before|prior|previously)\b",
            rf"\byour (?:previous |old |earlier )?{_EN_RULES} (?:are|is|have been) (?:now )?(?:void|"
            rf"updated|cancelled|obsolete|suspended)\b",
        ),
    ),
    "override of any": (0.8, (rf"\b{_EN_IGNORE} (?:all|any|every) (?:{_EN_ANY} ){{0,3}}(?:instructions?|prompts?)\b",)),
    EXTRACTION: (
        0.8,
        (
            rf"\b(?:reveal|print|show|repeat|output|display|leak|tell|give|recite|dump|expose|disclose|share)(?: me|"
            rf" us)? (?:\w+ ){{0,3}}{_EN_PROMPT}\b",
            rf"\bwhat (?:is|are|was|were) your {_EN_PROMPT}",
        ),
    ),
    "persona": (
        0.8,
        (
            r"\b(?:do anything now|(?:you are|act as|become) (?:now )?(?:dan|an? (?:unfiltered|"
            r"uncensored|unrestricted|amoral|evil))\b)",
            r"\b(?:developer|god|jailbreak|unrestricted|dan|"
            r"uncensored) mode (?:(?:is )?(?:now )?(?:enabled|activated|engaged)|is (?:now )?on)\b",
            r"\b(?:enable|activate|enter|switch to|unlock) (?:the )?(?:developer|god|jailbreak|"
            r"unrestricted|dan|uncensored) mode (?:in which|where|and|without|now)\b",
            r"(?:扮演|假装|你现在是)[^。！？\n]{0,12}(?:没有任何(?:限制|道德)|不受(?:审查|限制|约束)|无限制)",
            r"(?:越狱模式|解除(?:所有|一切)限制)",
        ),
    ),
    "markers": (
        0.7,
        (r"<\|im_(?:start|end)\|>", r"\[/?inst\]", r"<</?sys>>", r"</?system>\s*<user>", r"<\|(?:system|endoftext)\|>"),
    ),
    "to the reader": (
        0.8,
        (
            r"\b(?:note|message|instructions?|attention|directive) (?:to|for|:)? ?(?:any |all |"
            r"the )?(?:ai|llm|language model|chatbot|assistant)s?\b[^.!?\n]{0,60}\b(?:ignore|disregard|"
            r"must|do not|instead|forward|send)\b",
            r"\bif you are an? (?:ai|llm|language model|assistant|chatbot)\b[^.!?\n]{0,60}\b(?:must|"
            r"ignore|say|send|give|do not)\b",
            r"(?:给|致|请|阅读)[^。！？\n]{0,8}(?:人工智能|大模型|语言模型|智能体|ai助手|"
            r"ai)[^。！？\n]{0,12}(?:忽略|必须|不要告诉|请勿|应立即)",
        ),
    ),
    "exfiltration": (
        0.7,
        (
            r"!\[[^\]\n]{0,40}\]\(https?://[^)\s]{1,120}[?&]\w{1,20}=(?:\{|conversation|data|chat|secret|key)",
            r"\b(?:append|send|post|forward|embed|encode)\b[^.!?\n]{0,60}\b(?:conversation|chat history|"
            r"user's data|api key|password)\b[^.!?\n]{0,40}https?://",
        ),
    ),
}


class Rules:
    """The rules, compiled. Safe for use by several threads."""

    def __init__(self, rules: Mapping[str, tuple[float, tuple[str, ...]]] = RULES) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        self._set = re2.Set.SearchSet(options)
        self._hits: list[RuleMatch] = []
        for name, (score, patterns) in rules.items():
            for pattern in patterns:
                self._set.Add(pattern.replace(" ", r"\s+").replace(r"\s+?", r"\s*"))
                self._hits.append(RuleMatch(score, name))
        self._set.Compile()
        self._phrases = Phrases()
        self._of_phrases = {name: RuleMatch(rules[name][0], name) for name in (OVERRIDE, EXTRACTION) if name in rules}

    def find(self, text: str) -> RuleMatch | None:
        """The surest rule that matches anywhere in a text of any length; None where none does."""
        folded = SEARCH(text)
        hits = [self._hits[number] for number in self._set.Match(folded) or ()]
        phrase = self._phrases.find(folded)
        if phrase in self._of_phrases:
            hits.append(self._of_phrases[phrase])
        return max(hits, key=lambda hit: hit.score, default=None)

    def score(self, text: str) -> float:
        """Its score; 0 where none matches."""
        hit = self.find(text)
        return hit.score if hit else 0.0
