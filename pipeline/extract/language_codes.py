"""Codes of languages: one for each, ISO 639-1 where there is one, else ISO 639-3."""

# ISO 639-3 (individual languages and the macrolanguages that contain them) and older codes → ISO 639-1.
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
sr-latn:sr fil:tl iw:he jw:jv zh-hant:zh zh-hans:zh
"""
_CODES = dict(pair.split(":") for pair in _PAIRS.split())


def language_code(stated: str) -> str:
    """The code that this project uses for a language stated as ISO 639-1, ISO 639-3 or a tag with script or region."""
    code = stated.strip().lower().replace("_", "-")
    primary = code.partition("-")[0]
    return _CODES.get(code) or _CODES.get(primary) or primary
