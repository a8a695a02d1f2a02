"""Spam in short messages by cross-validation: each fifth judged by models that never saw it, thresholds included.

    python -m benchmarks.messages [--data ../shared/data]

The shipped models are those that have not seen the first fifth; its 57 spam texts say little (one text is .009 of F1). Here
both models for messages are trained five times by the shipped recipe (`jobs.shipped_classifiers`), each time with
another fifth held out, and judge that as the filter does: a message is spam if both say so. Some minutes.
"""

import argparse
import contextlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jobs.classifier_data import HELD_OUT_OF, Example, read_split
from jobs.classifier_scores import measure_decisions
from jobs.shipped_classifiers import recipe
from jobs.train_classifier import train
from pipeline.filter.classifiers import Classifier
from pipeline.filter.decisions import MODELS

NAMES = ("spam_short", "spam_lines")


def main() -> None:
    """Prints a row a fifth, and one for all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", default=str(Path(__file__).parents[2] / "shared/data"))
    data = parser.parse_args().data
    print("| fifth | texts | spam | AUC | precision | recall | F1 |\n|---|---|---|---|---|---|---|", flush=True)
    bad: list[bool] = []
    called: list[bool] = []
    for fifth in range(HELD_OUT_OF):
        found = list(judged(data, fifth))
        labels, scores = [example.bad for example, _, _ in found], [score for _, score, _ in found]
        decisions = [decision for _, _, decision in found]
        show(str(fifth + 1), labels, decisions, scores)
        bad += labels
        called += decisions
    show("all", bad, called)


def judged(data: str, fifth: int) -> Iterator[tuple[Example, float, bool]]:
    """The held-out messages, each with its score and whether it is called spam, by models of the other four fifths."""
    with tempfile.TemporaryDirectory() as folder:
        for file in Path(MODELS).glob("spam.*"):  # the one for e-mail, which no message is judged by
            shutil.copy(file, folder)
        for name in NAMES:
            with contextlib.redirect_stdout(io.StringIO()):
                train(recipe(name, data), folder, fifth=fifth)
        model = Classifier(folder, "spam")
        for example in read_split(recipe(NAMES[0], data).sources, fifth=fifth).heldout:
            score = model.score_message(example.text)
            yield example, score, score >= model.thresholds.short


def show(name: str, bad: list[bool], called: list[bool], scores: list[float] | None = None) -> None:
    """A row of the table. Scores of models of different fifths are not compared with each other."""
    figures = measure_decisions(bad, [float(decision) for decision in called], 0.5)
    area = f"{measure_decisions(bad, scores, 0.5)['auc']:.4f}" if scores else "–"
    print(
        f"| {name} | {len(bad)} | {sum(bad)} | {area} | {figures['precision']:.3f} | {figures['recall']:.3f} | {figures['f1']:.4f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
