"""Codes of languages: one for each, ISO 639-1 where there is one, else ISO 639-3.

A script is no part of a code, with one exception: a language that is written in another script keeps `-Latn` where it is
romanised (`hi-Latn`), since neither its stop words nor its thresholds fit such text.
"""

from collections.abc import Collection, Mapping

# ISO 639-3 (individual languages and the macrolanguages that contain them) and older codes → ISO 639-1. Those of which
# py3langid answers the longer code (Kikuyu, Fulfulde, Guarani) keep it.
_PAIRS = """
afr:af amh:am ara:ar arb:ar asm:as aze:az azj:az bak:ba bel:be ben:bn bos:bs bre:br bul:bg cat:ca ces:cs cmn:zh
cym:cy dan:da deu:de div:dv ell:el eng:en epo:eo est:et ekk:et eus:eu fao:fo fas:fa pes:fa prs:fa fin:fi fra:fr fry:fy
gla:gd gle:ga glg:gl guj:gu hau:ha hat:ht heb:he hin:hi hrv:hr hun:hu hye:hy ibo:ig ind:id isl:is ita:it
jav:jv jpn:ja kan:kn kat:ka kaz:kk khk:mn khm:km kir:ky kin:rw kor:ko kur:ku kmr:ku lao:lo lat:la lav:lv
lvs:lv lin:ln lit:lt ltz:lb lug:lg mal:ml mar:mr mkd:mk mlg:mg plt:mg mlt:mt mon:mn msa:ms zsm:ms mya:my
nep:ne npi:ne nld:nl nno:nn nob:no nor:no nb:no oci:oc ori:or ory:or orm:om gaz:om pan:pa pol:pl por:pt pus:ps
pbu:ps que:qu quy:qu ron:ro rus:ru san:sa sin:si slk:sk slv:sl sme:se sna:sn som:so sot:st spa:es sqi:sq als:sq srp:sr
swa:sw swh:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti tsn:tn tso:ts tuk:tk tur:tr uig:ug
ukr:uk urd:ur uzb:uz uzn:uz vie:vi vol:vo wln:wa xho:xh ydd:yi yid:yi yor:yo zho:zh zul:zu
aar:aa abk:ab aka:ak ava:av aym:ay ayr:ay bam:bm bis:bi bod:bo cha:ch che:ce chu:cu chv:cv cor:kw cos:co cre:cr dzo:dz
ewe:ee fij:fj glv:gv hbs:sh her:hz hmo:ho ido:io iii:ii iku:iu ile:ie ina:ia ipk:ik kal:kl kas:ks kau:kr knc:kr kom:kv
kon:kg kua:kj lim:li lub:lu mah:mh mri:mi nau:na nav:nv nbl:nr nde:nd ndo:ng nya:ny oji:oj oss:os pbt:ps pli:pi roh:rm
run:rn sag:sg smo:sm snd:sd srd:sc ssw:ss sun:su tah:ty ton:to twi:tw ven:ve wol:wo zha:za
sr-latn:sr fil:tl iw:he jw:jv zh-hant:zh zh-hans:zh
"""
_CODES = dict(pair.split(":") for pair in _PAIRS.split())

# Languages that are written in another script than the Latin one.
_OTHER_SCRIPTS = """
am ar as be bg bn bo dv dz el fa gu he hi hy ja ka km kn ko lo mk ml mr my ne or pa ps ru sa sd si ta te th ti ug uk ur yi zh
"""
_NOT_LATIN = frozenset(_OTHER_SCRIPTS.split())
_ROMANISED = "-Latn"


def language_code(stated: str) -> str:
    """The code that this project uses for a language stated as ISO 639-1, ISO 639-3 or a tag with script or region."""
    code = stated.strip().lower().replace("_", "-")
    primary, *rest = code.split("-")
    found = _CODES.get(code) or _CODES.get(primary) or primary
    return found + _ROMANISED if "latn" in rest and found in _NOT_LATIN else found


def codes_of_labels(labels: Collection[str]) -> Mapping[str, str]:
    """The code of each label of a model, such as `en`, `eng_Latn` or `zho_Hans`; several may have the same one."""
    # `als` is Tosk Albanian in ISO 639-3 and Alemannic in Wikipedia's codes, which a model uses that has `sq` besides.
    wikipedia = {"als": "gsw"} if "sq" in labels else {}
    return {label: wikipedia.get(label) or language_code(label) for label in labels}


def unusual_code(codes: Collection[str]) -> tuple[str, str] | None:
    """The first of `codes` that is written otherwise than here, and how it is written here; None if all are fine."""
    return next(((code, language_code(code)) for code in codes if language_code(code) != code), None)
