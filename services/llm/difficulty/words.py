"""Words by which a question asks for thought: HARD ones for a long one, WHY ones for some. By language; `*` stands for
any ending."""

import re
from collections.abc import Mapping

HARD: Mapping[str, str] = {
    "en": "prove, proof, derive, step by step, step-by-step, analyse, analyze, optimise, optimize, refactor, debug, "
    "design a, design an, trade-offs, tradeoffs, compare and contrast, complexity, algorithm, theorem, integral, "
    "probability that",
    "de": "beweis*, herleit*, schritt für schritt, analysier*, optimier*",
    "fr": "prouve*, démontre*, étape par étape, analysez, analyser, optimise*",
    "es": "demuestr*, demostrar, paso a paso, analiza*, optimiza*",
    "it": "dimostra*, passo passo, analizza*, ottimizza*",
    "pt": "prove que, passo a passo, analise, otimize",
    "ru": "докажи*, доказать, шаг за шагом, пошагово, проанализируй*, оптимизируй*",
    "vi": "chứng minh, từng bước, phân tích, tối ưu",
}
HARD_WITHOUT_SPACES: Mapping[str, str] = {
    "zh": "证明, 證明, 逐步, 一步一步, 分析, 优化, 推导",
    "ja": "証明, 段階的, 最適化",
    "ko": "증명, 단계별, 최적화",
    "ar": "أثبت, برهن, خطوة بخطوة, حلل",
    "hi": "सिद्ध, चरण दर चरण, विश्लेषण",
    "th": "พิสูจน์, ทีละขั้นตอน, วิเคราะห์",
}
WHY: Mapping[str, str] = {
    "en": "why, explain, how come, how do, how does, how would, how could, how should, how many, how much, what if, "
    "compare, versus, difference between, summarise, summarize, translate",
    "de": "warum, wieso, erklär*, vergleich*, unterschied*, wie viele, wie viel",
    "fr": "pourquoi, expliqu*, comparez, comparer, différence, combien",
    "es": "por qué, explica*, compara*, diferencia, cuánto*, cuánta*",
    "it": "perché, spiega*, confronta*, differenza, quanti, quante",
    "pt": "por que, explique, compare, diferença, quantos, quantas",
    "ru": "почему, объясни*, сравни*, сколько",
    "vi": "tại sao, giải thích, so sánh, bao nhiêu",
}
WHY_WITHOUT_SPACES: Mapping[str, str] = {
    "zh": "为什么, 為什麼, 解释, 解釋, 比较, 多少",
    "ja": "なぜ, 説明, 比較, いくつ",
    "ko": "왜, 설명, 비교",
    "ar": "لماذا, اشرح, قارن, كم عدد",
    "hi": "क्यों, समझा, तुलना, कितने",
    "th": "ทำไม, อธิบาย, เปรียบเทียบ",
}


def matcher(spaced: Mapping[str, str], unspaced: Mapping[str, str]) -> re.Pattern[str]:
    """Finds the words, where languages have spaces as whole ones."""
    whole = "|".join(_alternatives(spaced)).replace(r"\*", r"\w*")
    return re.compile(rf"\b(?:{whole})\b|{'|'.join(_alternatives(unspaced))}", re.IGNORECASE)


def _alternatives(words: Mapping[str, str]) -> list[str]:
    return [re.escape(word) for each in words.values() for word in each.split(", ")]
