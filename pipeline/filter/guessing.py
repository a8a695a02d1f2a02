"""Which model should answer for a text whose language nobody stated: by its script, or its commonest words.

A document has had its language found by then. This is for texts that come without, so it only needs to tell
the languages that have models of their own from the rest, and is silent where in doubt.
"""

import re
from collections.abc import Container

_CHARS = 2000
_WORD = re.compile(r"[^\W\d_]+")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_ARABIC = re.compile(r"[\u0620-\u064a]")
_UMLAUT = re.compile(r"[äöüß]")
# Common words that the other languages of the labelled sets lack (no "die", "man", "war", "des", "es", "hat").
_GERMAN_WORDS = (
    "aber alle alles als am auch auf aus bei beim bin bist da dann das dass deutsche deutschen deutschland dein deine dem der dich dir "
    "dieser doch durch eben ein eine einem einen einer einfach erst euch euer eure für ganz gegen geht gerade gibt habe haben halt hast "
    "heute hier ich ihm ihn ihr ihre ihren immer ist ja jetzt jeder kann kein keine keinen können leider lieber mal mehr mein meine mich "
    "mir muss nach nein nicht nichts nix noch nur oder ohne schon sehr sein seine selbst sich sie sind sollte sondern über uns unser "
    "unter viel viele vom von vor warum weil wenn wer werden wie wieder wieso wir wird wo wohl wollen wurde würde zu zum zur zwischen"
)
_OTHER_WORDS = (
    "a and are at be but for from have he her his i if is it just like me my no not of on or our she so that the their they this to was "
    "we what who with you your ce c'est dans del di du el elle en est et il je la le les los ma ne nous on os pas per por pour que qui "
    "são se sur tu um un una une vous y het een van niet je ik zijn ze maar met voor się nie że jest na w z"
)
_GERMAN, _OTHERS = frozenset(_GERMAN_WORDS.split()), frozenset(_OTHER_WORDS.split())


def likely_language(text: str, among: Container[str]) -> str:
    """One of `zh`, `ar` and `de` if it is in `among` and `text` is plainly written in it; else empty."""
    head = text[:_CHARS].lower()
    words = _WORD.findall(head)
    letters = sum(map(len, words))
    if len(_ARABIC.findall(head)) > letters / 2:
        guess = "ar"
    elif len(_HAN.findall(head)) > letters / 2 and not _KANA.search(head):
        guess = "zh"
    else:
        german = sum(word in _GERMAN for word in words) + len(_UMLAUT.findall(head)) / 2
        guess = "de" if german > sum(word in _OTHERS for word in words) else ""
    return guess if guess in among else ""
