"""The card of a classifier, for people."""

from typing import Any

from jobs.classifier_scores import Report, shown

_KINDS = {"linear": "linear classifier over hashed pieces of words", "fasttext": "quantised fastText classifier"}


def card_text(card: dict[str, Any], report: Report) -> str:
    """What the model is, what it was trained on, what it is worth and how it decides."""
    clean = "\n".join(_clean(source) for source in (*card["clean"], *card["sentences"]))
    limits, settings = card["thresholds"], card["settings"]
    if settings["max_missed"]:
        chosen = f"the highest that misses at most {settings['max_missed']:.1%} of the bad texts"
    elif settings["min_precision"]:
        chosen = f"the lowest with a precision of {settings['min_precision']}"
    else:
        chosen = "the one with the best F1"
    again = f"The same bytes again: `{settings['command']}`\n" if settings["command"] else ""
    return (
        f"# {card['name']}\n\nA {_KINDS[card['kind']]}, {card['num_bytes']:,} bytes, SHA-256 `{card['sha256']}`, made by `train-classifier`.\n"
        f"Languages: {', '.join(card['languages']) or 'as trained'}.\n{again}\n## Trained on\n\n{_sources(card)}\n\nClean text, as good examples:\n\n{clean or '* none'}\n\n"
        f"## Measured on the fifth that it never saw\n\n{card['near_duplicates_left_out']} near-duplicates of texts in that fifth were left out of training.\n\n"
        f"{_figures(card['heldout'])}\n\nPrecision, recall and F1 are at the threshold for short texts, {limits['short']:.3f}, chosen on the other four fifths: {chosen}.\n\n"
        f"The same on the other four fifths, each quarter of them scored by a model trained on the rest:\n\n{_figures(card['cross_validated'])}\n\n"
        f"## Calibration\n\n{report.calibration_table()}\n\n"
        f"## Decision\n\nA text of one or two sentences is refused from a score of {limits['short']:.3f}. A longer one is refused if the whole scores at least\n"
        f"{limits['whole']:.3f} and at least {limits['share']:.1%} of its sentences score {limits['sentence']:.3f} or more.\n{_strict(card)}{_sentences(card)}"
    )


def _strict(card: dict[str, Any]) -> str:
    moved = ", ".join(f"{language} {threshold}" for language, threshold in card["strict"].items())
    return (
        f"Scores are moved so that it takes more in these languages, where more than {card['settings']['max_sentences_refused']:.1%} of clean sentences were refused: {moved}.\n"
        if moved
        else ""
    )


def _sentences(card: dict[str, Any]) -> str:
    lines = []
    for name, rows in card["unseen_sentences"].items():
        refused = ", ".join(f"{language} {row['refused']} of {row['held_out']}" for language, row in rows.items())
        lines.append(f"Refused of the sentences of {name}, a fifth that no choice was made by: {refused}.\n")
    return "".join(lines)


def _clean(source: dict[str, Any]) -> str:
    only = f", sentences in {', '.join(source['languages'])}" if "languages" in source else ""
    return f"* {source['name']}{only} ({source['licence'] or 'licence not given'})"


def _sources(card: dict[str, Any]) -> str:
    lines = []
    for source in card["sources"]:
        skipped = f"; left out = {', '.join(source['skip'])}" if source["skip"] else ""
        only = f", only {', '.join(source['languages'])}" if source["languages"] else ""
        weight = f"; weight {source['weight']}" if source["weight"] != 1 else ""
        lines.append(
            f"* {source['name']}{only}: bad = {', '.join(source['bad'])}{skipped}{weight} ({source['licence'] or 'licence not given'})"
        )
    return "\n".join(lines)


def _figures(groups: dict[str, dict[str, Any]]) -> str:
    rows = "\n".join(
        f"| {name} | {row['number']} | {shown(row['auc'])} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |"
        for name, row in groups.items()
    )
    return f"| set | texts | AUC | precision | recall | F1 |\n|---|---|---|---|---|---|\n{rows}"
