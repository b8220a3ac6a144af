"""Texts cut into sentences, for graders, and which of those claim anything."""

import re

_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])|\n+")
_MARK = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
_QUESTION = re.compile(r"[?？][\"'”’»)\]*_]*$")
_HEADING = re.compile(r"#{1,6}\s|\*\*[^*]{1,60}\*\*:?$")
_LIST = re.compile(r"^(?:[-*•>]|\d{1,3}[.)])\s+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# Who says nothing but these words greets, thanks, offers, leads in, or says that he does not know. What they are about
# is not among them: a sentence with any other word is judged.
_EMPTY_WORDS = """
    a an the this that these those it its i'm i'd i'll i've i me my you you're your we us our is are be been was were
    am do does did don't doesn't didn't not no yes can can't cannot could couldn't will would wouldn't should may might
    have haven't has had and or but so if as of on in to for with about from by at here here's there there's what which
    how than then any anything some something nothing none all else more other further additional following below above
    hope hopefully helps help helpful helped let know like need want feel free ask asking please sure certainly
    absolutely course ok okay great good glad happy pleasure hello hi hey dear thanks thank welcome sorry apologies
    apologize unfortunately afraid unable able assist assistance answer answers answered question questions information
    info detail details source sources passage passages document documents text context provided given available
    based according found find see show give tell say said summary list overview key main point points result results
    step steps enough sufficient clear unclear unknown certain mention mentioned mentions contain contains specify
    specified
    ich du sie wir mir mich dir ihnen ihre ihr ihren dein deine mein meine es das dies diese dieser dieses der die den
    dem des ein eine einen einer und oder aber wenn falls dass ist sind war bin habe haben hat kann können könnte möchte
    möchten nicht kein keine keinen ja nein zu in auf für mit von über aus an hier weitere weiteren noch mehr andere
    hoffe hilft helfen hilfe lass lassen wissen weiß weiss bitte gerne gern natürlich klar sicher hallo guten tag danke
    vielen dank leider tut leid frage fragen antwort antworten information informationen quelle quellen text angaben
    gefunden finden folgende folgenden zusammenfassung punkte
    je j'espère vous nous tu me moi te votre vos ton ta tes mon ma mes cela ceci ce c'est cette ces le la les l'aide un
    une des du de d'autres et ou mais si est sont suis ai avez avoir peux pouvez puis ne n'ai n'hésitez pas non oui à au
    aux en dans sur pour avec par voici voilà plus autre autres espère aide aider savoir sais s'il plaît bien sûr
    certainement bonjour merci désolé désolée malheureusement question questions réponse répondre information
    informations source sources texte trouvé trouver suivant suivante suivants suivantes résumé points
    que yo tú usted me mi mis te tu tus su sus eso esto este esta estos estas el los las un una unos y o pero si es son
    soy he ha tiene tienes tengo puedo puede puedes no sí a al en para con por sobre de del aquí más otra otras otro
    otros algo nada espero ayude ayuda ayudar saber sé dudes dude preguntar favor claro supuesto hola gracias siento
    lamentablemente pregunta preguntas respuesta responder información fuente fuentes texto encontrado encontrar
    siguiente siguientes resumen puntos
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_EMPTY_CHINESE = re.compile(
    "当然|好的|您好|你好|谢谢|抱歉|很?对不起|希望|这|对|您|你|我|有所?帮助|如果|如有|还有|其他|任何|问题|请|随时|告诉|提问|联系|以下是?|"
    "答案|回答|不知道|无法|没有|找到|相关|信息|资料|来源|根据|提供|的|是|了|吗|，|、"
)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, without marks such as [2]; what has no word in it is left out."""
    parts = (part.strip() for part in _END.split(_MARK.sub("", text)))
    return [part for part in parts if any(character.isalnum() for character in part)]


def claims_of(text: str) -> list[str]:
    """The sentences of a text that claim something, which is for a source to support."""
    return [sentence for sentence in sentences_of(text) if claims(sentence)]


def claims(sentence: str) -> bool:
    """Whether a sentence says anything of the world: no question, heading or courtesy does. A number always does."""
    plain = _LIST.sub("", sentence).strip()
    if any(character.isdigit() for character in plain):
        return True
    if _QUESTION.search(plain) or _HEADING.match(plain):
        return False
    words = _WORD.findall(_EMPTY_CHINESE.sub(" ", plain).lower().replace("’", "'"))
    return any(word not in _EMPTY for word in words)
