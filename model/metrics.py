"""How near texts are to references: WER, BLEU, chrF, ROUGE and BERTScore, each by its standard package (extra `metrics`).

What is added are right defaults for Chinese and Japanese, which are written without spaces: BLEU takes
the tokenizer for the language, ROUGE and WER count characters of these scripts as words.
"""

import re
from collections.abc import Sequence

import regex

from pipeline.errors import InputError

# Han, Hiragana and Katakana, Bopomofo: one character a word; else runs of letters, their marks, and digits.
_ALONE = r"぀-ヿㄅ-ㄯㇰ-ㇿ㐀-䶿一-鿿豈-﫿\U00020000-\U0003134f"
_WORDS = regex.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]|\p{{M}})+")
# Codes of the languages, in ISO 639-1 and -3; what follows them (zh-CN, zh_Hant) changes nothing here.
_CODES = {"zh": "zh", "zho": "zh", "cmn": "zh", "yue": "zh", "wuu": "zh", "ja": "ja", "jpn": "ja"}


def _written(language: str) -> str:
    """`zh`, `ja`, or nothing for languages with spaces."""
    return _CODES.get(language.replace("_", "-").partition("-")[0].lower(), "")


class Words:
    """Splits text into lower-case words, for ROUGE; characters of scripts without spaces count as words."""

    def tokenize(self, text: str) -> list[str]:
        """The words."""
        return [match.group() for match in _WORDS.finditer(text.lower())]


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, language: str = "en") -> tuple[float, str]:
    """Corpus BLEU by sacrebleu and its signature; `references` are lists as long as `hypotheses`, one for each reference.

    `language` chooses the tokenizer: `zh` for Chinese, `char` for Japanese, which needs no dictionary, else `13a`.
    """
    metrics = _package("sacrebleu.metrics")
    metric = metrics.BLEU(tokenize={"zh": "zh", "ja": "char"}.get(_written(language), "13a"))
    return metric.corpus_score(list(hypotheses), _streams(hypotheses, references)).score, str(metric.get_signature())


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus chrF by sacrebleu: n-grams of characters, so it needs no tokenizer for any language."""
    metric = _package("sacrebleu.metrics").CHRF()
    return float(metric.corpus_score(list(hypotheses), _streams(hypotheses, references)).score)


def _streams(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[list[str]]:
    """The references as sacrebleu takes them, which would score the letters of a plain list of texts.

    Raises:
        InputError: they are no lists as long as `hypotheses`.
    """
    if any(isinstance(each, str) or len(each) != len(hypotheses) for each in references):
        raise InputError(
            f"references must be lists of {len(hypotheses)} texts, as many as hypotheses: one list for each reference"
        )
    return [list(each) for each in references]


def rouge(
    hypotheses: Sequence[str], references: Sequence[str], kinds: Sequence[str] = ("rouge1", "rouge2", "rougeL")
) -> dict[str, float]:
    """The mean F-measures by rouge-score, without stemming."""
    scorer = _package("rouge_score.rouge_scorer").RougeScorer(list(kinds), tokenizer=Words())
    scores = [scorer.score(reference, hypothesis) for hypothesis, reference in zip(hypotheses, references, strict=True)]
    return {kind: sum(score[kind].fmeasure for score in scores) / max(1, len(scores)) for kind in kinds}


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str], *, language: str = "en") -> float:
    """Edits over words of the references, by jiwer; characters for Chinese and Japanese, as is usual there."""
    jiwer = _package("jiwer")
    if _written(language):
        hypotheses, references = (
            [" ".join(re.sub(r"\s", "", text)) for text in texts] for texts in (hypotheses, references)
        )
    return float(jiwer.wer(list(references), list(hypotheses)))


def bert_score(
    hypotheses: Sequence[str], references: Sequence[str], *, model: str, num_layers: int, language: str = "en"
) -> tuple[float, float, float]:
    """The mean precision, recall and F1 by bert-score with the model in a local folder and the states of one of its layers."""
    score = _package("bert_score").score
    result = score(
        list(hypotheses), list(references), model_type=model, num_layers=num_layers, lang=language, verbose=False
    )
    precision, recall, f1 = (float(each.mean()) for each in result)
    return precision, recall, f1


def _package(name: str):  # type: ignore[no-untyped-def]  # whatever module it is
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(
            f"this metric needs the package {name.partition('.')[0]}: pip install 'corpusmill[metrics]'"
        ) from None
