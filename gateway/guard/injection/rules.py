"""Phrases of known attacks. They are few and narrow: a rule decides alone, and the model is for the rest.

Matched by RE2, all in one pass, in time linear in the text, over text with its disguises off (no accents, lower case);
the oldest attack in other languages than English by the lexicon.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import re2

from gateway.guard.escapes import has_tags, read_tags
from gateway.guard.injection.phrases import EXTRACTION, OVERRIDE, PERSONA, Phrases
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
    "(?:above|before this|(?:that |which )?(?:you (?:were|have been|had been|got|have|received)|i (?:gave|told)"
    "|(?:were )?given (?:to you|before|earlier|above)|came before|precede))"
)
_EN_PROMPT = (
    "(?:system (?:prompt|message|instructions?)|(?:hidden|secret|initial|original|confidential|internal) "
    "(?:prompt|instructions|rules)|(?:text|words|everything|message) above)"
)


_EN_BECOME = (
    "from now on|from this point(?: on| forward)?|(?:you are|you're) now (?:an?|the|my|in|free|called|named"
    "|operating|running)|you will now|act as(?: if)?"
    "|pretend|imagine"
    "|roleplay as|role-play as|behave as|respond as|simulate|henceforth|going forward"
)
_EN_FREE = (
    r"(?:(?:no|without|free (?:of|from)|not bound by|unbound by|not limited by|(?:zero|never|not) (?:any )?)"
    r" ?(?:any |all |your |the |its )?(?:\w+ ){0,2}(?:restrictions?|filters?|filtering|censorship|limits"
    r"|limitations|guardrails"
    r"|safety guidelines|ethical (?:guidelines|constraints)|moral (?:guidelines|constraints)|content polic(?:y"
    r"|ies)|safeguards)"
    r"|no rules\b|without rules\b|unrestricted|uncensored|unfiltered|jailbroken)"
)
_EN_READER = (
    r"(?:ai|a\.i\.|llm|large language model|language model|chatbot|assistant|ai (?:assistant|model|agent|system"
    r"|reviewer|tool"
    "|crawler)|coding (?:agent|assistant)|automated (?:agent|reviewer|system))s?"
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
    PERSONA: (
        0.8,
        (
            r"\b(?:do anything now|(?:you are|act as|become|you're) (?:now )?(?:called |named |in )?(?:\""
            r"|')?(?:dan|stan|dude"
            r"|an? (?:unfiltered|uncensored|unrestricted|amoral|evil|jailbroken))\b)",
            rf"\b(?:{_EN_BECOME})\b[^.!?\n]{{0,60}}\b{_EN_FREE}",
            r"\b(?:god|jailbreak|unrestricted|dan|sudo|"
            r"uncensored) mode (?:(?:is )?(?:now )?(?:enabled|activated|engaged)|is (?:now )?on)\b",
            # Programs have such modes too, and their manuals say what is so when one is on.
            r"\b(?:developer|debug|admin) mode (?:(?:is )?now (?:enabled|activated|engaged|on)"
            r"|activated|engaged|enabled)\b",
            r"\b(?:enable|activate|enter|switch to|unlock) (?:the )?(?:developer|god|jailbreak|"
            r"unrestricted|dan|uncensored) mode (?:in which|where|and|without|now)\b",
            r"(?:越狱模式|解除(?:所有|一切)限制)",
        ),
    ),
    "new orders": (
        0.8,
        (
            r"(?:\[|<|#{2,6} ?|\*\*|\b)(?:system|admin|administrator|developer|root)(?: (?:note|message|notice"
            r"|update|alert))?"
            r"(?:\]|>|\*\*|:)? ?:? ?(?:new (?:instructions?|directive|task|rule|policy)|override|instruction override"
            r"|you (?:are now|must now)|disregard|ignore)\b",
            r"\b(?:new|updated|revised|real|actual) (?:system )?(?:instructions?|directives?)(?: for"
            r" (?:you|the (?:ai|assistant|model)))?:",
            r"\b(?:end|close) of (?:the )?(?:document|context|user input|prompt|data"
            r"|instructions)\W{1,12}(?:new|system|now|begin"
            r"|ignore|assistant|important)\b",
            r"\b(?:begin|start) (?:of )?(?:new )?(?:system )?instructions\b",
        ),
    ),
    "in secret": (
        0.8,
        (
            r"\b(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention|mentioning|alert"
            r"|alerting|notify"
            r"|notifying|reveal|revealing|disclose|disclosing)(?: (?:it|this|that|these|any of this"
            r"|anything))?(?: to| about it to)? "
            r"(?:the )?user\b",
            r"\b(?:do not|don't|never|without) (?:mention|mentioning|reveal|revealing|acknowledge|acknowledging"
            r"|disclose|disclosing)"
            r" (?:this|these|that you (?:received|read|saw)) (?:instructions?|orders?|notes?|message|directives?)\b",
        ),
    ),
    "markers": (
        0.7,
        (r"<\|im_(?:start|end)\|>", r"\[/?inst\]", r"<</?sys>>", r"</?system>\s*<user>", r"<\|(?:system|endoftext)\|>"),
    ),
    "to the reader": (
        0.8,
        (
            rf"\b(?:note|message|instructions?|attention|directive|important|reminder|warning) (?:to|for|:)?"
            rf" ?(?:any |all |"
            rf"the )?{_EN_READER}\b[^.!?\n]{{0,60}}\b(?:ignore|disregard|"
            r"must|do not|instead|forward|send|should|have to)\b",
            rf"\b(?:if|when|since|because) you(?: are|'re) (?:an? |the )?{_EN_READER}\b[^.!?\n]{{0,60}}\b(?:must|"
            r"ignore|say|send|give|do not|should|include|add|append|write)\b",
            rf"\b{_EN_READER} (?:that (?:is |are )?)?(?:reading|processing|summarizing|summarising|reviewing"
            rf"|analyzing|parsing|who"
            rf" reads?|that reads?) (?:this|the)\b[^.!?\n]{{0,40}}\b(?:must|should|ignore|do not|need to|has to"
            rf"|have to|will)\b",
            r"(?:给|致|请|阅读)[^。！？\n]{0,8}(?:人工智能|大模型|语言模型|智能体|ai助手|"
            r"ai)[^。！？\n]{0,12}(?:忽略|必须|不要告诉|请勿|应立即)",
        ),
    ),
    "exfiltration": (
        0.7,
        (
            r"!\[[^\]\n]{0,40}\]\(https?://[^)\s]{1,120}[?&]\w{1,20}=(?:\{|conversation|data[^:]|chat|secret|key)",
            r"\b(?:append|send|post|forward|embed|encode|upload|transmit|exfiltrate|email|e-mail"
            r"|leak)\b[^.!?\n]{0,60}\b(?:conversation|chat history|"
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
        self._of_phrases = {
            name: RuleMatch(rules[name][0], name) for name in (OVERRIDE, EXTRACTION, PERSONA) if name in rules
        }

    def find(self, text: str) -> RuleMatch | None:
        """The surest rule that matches anywhere in a text of any length; None where none does. Tags are read too."""
        hit = self._find(text)
        tagged = self._find(read_tags(text)) if has_tags(text) else None
        return max((each for each in (hit, tagged) if each), key=lambda each: each.score, default=None)

    def _find(self, text: str) -> RuleMatch | None:
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
