"""Phrases of known attacks, in several languages. They are few and narrow: the model is for the rest.

Matched by RE2, all in one pass, in time linear in the text, over text with its disguises off (no accents, lower case).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import re2

from gateway.guard.normalize import SEARCH

# No more characters than this are read.
MAX_CHARACTERS = 65_536
_EN_OLD = (
    "(?:all|any|every|the|your|my|previous|prior|above|earlier|preceding|former|initial|"
    "original|system|safety|these|those|other|of)"
)
_EN_RULES = "(?:instructions?|prompts?|rules|guidelines|directions|directives|orders|commands|programming|restrictions)"
_EN_PROMPT = (
    "(?:system (?:prompt|message|instructions?)|(?:hidden|secret|initial|original|confidential|internal) "
    "(?:prompt|instructions|rules)|(?:text|words|everything|message) above)"
)


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """What a rule found: how sure that is, 0 to 1, and the rule's name."""

    score: float
    rule: str


# By name: the score, and the patterns. A space stands for any white space.
RULES: Mapping[str, tuple[float, tuple[str, ...]]] = {
    "override": (
        0.9,
        (
            rf"\b(?:ignore|disregard|forget|override|bypass|discard) (?:{_EN_OLD} ){{1,4}}{_EN_RULES}\b",
            r"\b(?:ignore|disregard|forget) (?:everything|all|anything)(?: that)? (?:you (?:were|"
            r"have been) told|above|before)\b",
            rf"\byour (?:previous |old |earlier )?{_EN_RULES} (?:are|is|have been) (?:now )?(?:void|"
            rf"updated|cancelled|obsolete|suspended)\b",
            r"(?:忽略|无视|忘记|忘掉|不要理会|不再遵守|绕过)[^。！？\n]{0,8}(?:之前|以上|上面|先前|所有|"
            r"全部|系统|你)[^。！？\n]{0,6}(?:指令|指示|规则|设定|提示|要求|限制|命令)",
            r"\b(?:ignorier\w*|vergiss|missachte\w*) (?:bitte )?(?:alle|deine|"
            r"die) (?:\w+ ){0,2}(?:anweisungen|regeln|vorgaben|befehle|richtlinien)\b",
            r"\b(?:ignore[zr]?|oublie[zr]?) (?:toutes )?(?:les|tes|vos) (?:\w+ ){0,1}(?:instructions|"
            r"regles|consignes|directives)\b",
            r"\b(?:ignora|olvida|descarta) (?:todas )?(?:las|tus|sus) (?:\w+ ){0,1}(?:instrucciones|"
            r"reglas|indicaciones|ordenes)\b",
        ),
    ),
    "extraction": (
        0.8,
        (
            rf"\b(?:reveal|print|show|repeat|output|display|leak|tell|give|recite|dump)(?: me|"
            rf" us)? (?:\w+ ){{0,3}}{_EN_PROMPT}\b",
            rf"\bwhat (?:is|are|was|were) your {_EN_PROMPT}",
            r"(?:输出|告诉我|显示|展示|重复|泄露|打印)[^。！？\n]{0,6}(?:系统提示|系统指令|提示词|"
            r"隐藏指令|初始指令|初始设定)",
            r"\b(?:zeig\w*|nenne|verrate|wiederhole|gib)(?: mir)? (?:\w+ ){0,2}(?:systemprompt|"
            r"system-prompt|geheimen anweisungen)\b",
            r"\b(?:affiche|montre|revele|repete)(?:-moi)? (?:\w+ ){0,3}(?:prompt systeme|instructions secretes)\b",
            r"\b(?:muestra(?:me)?|revela|repite|dime) (?:\w+ ){0,3}(?:prompt del sistema|instrucciones secretas)\b",
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
        self._set = re2.Set.SearchSet(options)
        self._hits: list[RuleMatch] = []
        for name, (score, patterns) in rules.items():
            for pattern in patterns:
                self._set.Add(pattern.replace(" ", r"\s+").replace(r"\s+?", r"\s*"))
                self._hits.append(RuleMatch(score, name))
        self._set.Compile()

    def find(self, text: str) -> RuleMatch | None:
        """The surest rule that matches; None where none does."""
        found = self._set.Match(SEARCH(text[:MAX_CHARACTERS])) or ()
        return max((self._hits[number] for number in found), key=lambda hit: hit.score, default=None)

    def score(self, text: str) -> float:
        """Its score; 0 where none matches."""
        hit = self.find(text)
        return hit.score if hit else 0.0
