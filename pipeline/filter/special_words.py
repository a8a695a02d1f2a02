"""What English writes with signs and keeps whole or cuts in its own way: contractions, abbreviations, emoticons."""

from itertools import product


def _contractions() -> dict[str, tuple[str, ...]]:
    """English contractions, with and without their apostrophe, lower-case and capitalised."""
    table: dict[str, tuple[str, ...]] = {}

    def add(stem: str, *endings: str) -> None:
        for first in (stem, stem.title()):
            table[first + "".join(endings)] = (first, *endings)
            bare = tuple(ending.replace("'", "") for ending in endings)
            table[first + "".join(bare)] = (first, *bare)

    people = ("i", "you", "he", "she", "it", "we", "they")
    questions = ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those")
    for stem in (*people, *questions):
        for endings in (("'ll",), ("'ll", "'ve"), ("'d",), ("'d", "'ve")):
            add(stem, *endings)
    add("i", "'m")
    add("i", "'m", "a")
    for stem in ("i", "you", "we", "they"):
        add(stem, "'ve")
    for stem in ("you", "we", "they"):
        add(stem, "'re")
    for stem in ("he", "she", "it", *questions[:9]):
        add(stem, "'s")
    for stem in (*questions[:7], *questions[9:]):
        add(stem, "'re")
        add(stem, "'ve")
        table[stem + "ve"], table[stem.title() + "ve"] = (stem, "ve"), (stem.title(), "ve")
    for stem in [
        "ca",
        "could",
        "do",
        "does",
        "did",
        "had",
        "may",
        "might",
        "must",
        "need",
        "ought",
        "sha",
        "should",
        "wo",
        "would",
    ]:
        add(stem, "n't")
        add(stem, "n't", "'ve")
    for stem in ["could", "might", "must", "should", "would"]:
        add(stem, "'ve")
    for stem in ["ai", "are", "is", "was", "were", "have", "has", "dare"]:
        add(stem, "n't")
    for hour, half in product(range(1, 13), ("a.m.", "am", "p.m.", "pm")):
        table[f"{hour}{half}"] = (str(hour), half)
    for whole, first in {
        "y'all": "y'",
        "yall": "y",
        "cannot": "can",
        "gonna": "gon",
        "gotta": "got",
        "let's": "let",
        "c'mon": "c'm",
        "not've": "not",
        "notve": "not",
    }.items():
        for form in (whole, whole[0].upper() + whole[1:]):
            table[form] = (form[: len(first)], form[len(first) :])
    for plain in ("ill", "its", "hell", "shell", "shed", "were", "well", "whore"):
        table.pop(plain, None)
        table.pop(plain.title(), None)
    return table


_WHOLE: str = (
    # Contractions and abbreviations with signs inside or at their ends.
    """'s 'S ‘s ‘S and/or w/o 're 'd 'll 'em 'nuff 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock O'clock
    lovin' Lovin' havin' Havin' doin' Doin' goin' Goin' nothin' Nothin' nuthin' Nuthin' ol' Ol' somethin' Somethin'
    Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans.
    Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep.
    Sept. Tenn. Va. Wash. Wis. a.m. p.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr.
    Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. C++ — ' '' \\n \\t <space> ä. ö. ü."""
    # Emoticons.
    """ :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-(( :(((
    :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3
    :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O
    O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) ಠ_ಠ (ಠ_ಠ) ¯\\(ツ)/¯"""
)
SPECIAL: dict[str, tuple[str, ...]] = (
    _contractions()
    | {word: (word,) for word in _WHOLE.split()}
    | {f"{letter}.": (f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"}
)
# Everything with a straight apostrophe also with a typographic one.
SPECIAL |= {
    whole.replace("'", "’"): tuple(part.replace("'", "’") for part in parts)
    for whole, parts in SPECIAL.items()
    if "'" in whole
}
