"""Makes documents of pages: extraction, filters, then deduplication.

Reads RUN/pages; writes RUN/filtered, RUN/measures and RUN/rejected/filter (step "filter"), then
RUN/documents, RUN/duplicates and RUN/rejected/dedup (step "dedup", see `jobs.dedup`). Where the first three were made
before and only thresholds have changed, they are made from what they hold (`jobs.refilter`), not from the pages.
"""

import json
from dataclasses import replace

from jobs import dedup, refilter
from jobs.config import RunConfig, installed
from jobs.engine import Engine, run_step
from jobs.progress import Progress
from jobs.settings import plain
from pipeline.corpus import FILTERED, MEASURES, REJECTED, CuratePages, page_shards
from pipeline.errors import DataError, SettingError
from pipeline.extract.classifier import model_sha256
from pipeline.extract.language import UNDETERMINED, load_identifier, short_text_sha256
from pipeline.filter.bad_words import lists_sha256
from pipeline.filter.classifiers import models_beside, read_card
from pipeline.filter.decisions import MODELS
from pipeline.filter.own import code_sha256, load_functions
from pipeline.filter.perplexity import models_sha256
from pipeline.filter.quality import model_packages
from pipeline.filter.quality import model_sha256 as quality_sha256
from pipeline.filter.urls import lists_sha256 as address_lists_sha256
from pipeline.manifests import Manifest, read_manifest
from pipeline.places import join
from pipeline.steps import Step

# Limits of the child process: they guard the worker and decide about no page that other limits leave.
_NOT_IN_BYTES = ("isolate",)
_PAGE_SECONDS = 0.005  # about what a page takes on one core
_LIBRARIES = ("trafilatura", "resiliparse", "selectolax", "py3langid", "fasttext-community", "numpy", "regex")


def main(config: RunConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/documents."""
    filter_pages(config, engine, force=force)
    return dedup.main(config, engine, force=force)


def filter_pages(config: RunConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of RUN/filtered, made now unless it is up to date.

    Raises:
        DataError: more pages than `run.max_error_share` ended in unforeseen exceptions, or have changed in their files.
    """
    step = filter_step(config)
    refilter.put_in_place(step)
    manifest = _filtered(step, config, engine, force=force)
    _check_errors(manifest, config.run.max_error_share)
    return manifest


def _filtered(step: Step, config: RunConfig, engine: Engine, *, force: bool) -> Manifest:
    if not force and step.is_current():
        Progress.note("filter: up to date")
        return read_manifest(step.folder(FILTERED))
    _check_languages(config)
    if not force and refilter.can_answer(step):
        return refilter.in_place(step, config.extract, config.filter, engine)
    refilter.forget(step)
    return _from_pages(step, config, config.run.folder, engine, force=force)


def filter_variant(base: RunConfig, variant: RunConfig, engine: Engine, *, force: bool = False) -> Manifest:
    """The manifest of the `filtered` documents of `variant`, made from the run of `base` unless it is up to date."""
    pages = base.run.folder
    step = replace(filter_step(variant), inputs={"pages": join(pages, "pages")})
    differs = "[extract] differs" if base.extract != variant.extract else None
    why = differs or refilter.texts_needed(base.filter, variant.filter)
    how = f"every page again, because {why}" if why else f"decided again from the measures of {pages}"
    Progress.note(f"filter {variant.run.folder}: {how}")
    if why:
        return _from_pages(step, variant, pages, engine, force=force)
    return refilter.decide_again(step, pages, variant.extract, variant.filter, engine, force=force)


def _from_pages(step: Step, config: RunConfig, pages: str, engine: Engine, *, force: bool) -> Manifest:
    """The manifest of `step`, made from the pages of the run in folder `pages`."""
    build = CuratePages(step, config.extract, config.filter, pages=pages)
    return run_step(
        step,
        page_shards(pages),
        lambda found: found | "CuratePages" >> build,
        engine,
        label="filter",
        force=force,
        record_seconds=_PAGE_SECONDS,
        lines_of=_warnings,
    )


def _warnings(remarks: list[list[str]]) -> list[str]:
    """What the judges of all workers have to say, each line once."""
    return [f"filter: {line}" for line in dict.fromkeys(line for lines in remarks for line in lines)]


def filter_step(config: RunConfig) -> Step:
    """The step "filter", with all that decides its bytes."""
    extract = {name: value for name, value in plain(config.extract).items() if name not in _NOT_IN_BYTES}
    return Step(
        run=config.run.folder,
        name="filter",
        outputs=(FILTERED, MEASURES, REJECTED),
        settings={"extract": extract, "filter": plain(config.filter)},
        inputs={"pages": join(config.run.folder, "pages")},
        versions={name: installed(name) for name in _LIBRARIES} | _models(config),
    )


def _models(config: RunConfig) -> dict[str, str]:
    """The hashes of the models whose answers reach the bytes: another model makes other documents."""
    chosen = {"spam": config.filter.spam, "toxicity": config.filter.toxicity}
    models = [
        (folder, asked)
        for name, each in chosen.items()
        if each.on
        for folder in (each.model or MODELS,)
        for asked in (name, *models_beside(folder, name))
    ]
    own = {"blocks model": model_sha256(), "short text model": short_text_sha256()}
    if config.extract.engine == "justext":
        own |= {name: installed(name) for name in ("justext", "lxml")}
    if config.extract.language.identifier == "fasttext":
        own["language codes"] = "2"  # 1 took the labels of a model as they are
    urls = config.filter.urls
    if urls.lists or urls.word_files or urls.soft_word_files:
        own["lists of addresses"] = address_lists_sha256(urls)
    if config.filter.c4.bad_words:
        own["lists of bad words"] = lists_sha256(config.filter.c4.bad_words)
    if config.filter.own:
        load_functions(config.filter.own)  # what is wrong is said before any work begins
        own["own measures"] = code_sha256(config.filter.own)
    if config.filter.quality.model:
        own["quality model"] = quality_sha256(config.filter.quality)
        own |= {name: installed(name) for name in model_packages(config.filter.quality)}
    if config.filter.perplexity:
        own["perplexity models"] = models_sha256(config.filter.perplexity)
        own |= {name: installed(name) for name in ("kenlm", "sentencepiece")}
    cards = {name: read_card(folder, name) for folder, name in models}
    return (
        own
        | {f"{name} model": str(card["sha256"]) for name, card in cards.items()}
        | {
            f"{name} thresholds": json.dumps([card["thresholds"], card.get("strict", {})], sort_keys=True)
            for name, card in cards.items()
        }
    )


def _check_languages(config: RunConfig) -> None:
    """Refuses codes that the identifier never answers: all documents would be rejected for them, after all the work."""
    asked = {
        "extract.language.keep": config.extract.language.keep,
        "filter.languages": config.filter.languages,
        "filter.quality.languages": config.filter.quality.languages,
        "filter.perplexity": tuple(config.filter.perplexity),
    }
    if not any(asked.values()):
        return
    known = load_identifier(config.extract.language).known | {UNDETERMINED}
    for setting, codes in asked.items():
        if unknown := sorted(set(codes) - known):
            raise SettingError(
                f"{setting} names {', '.join(unknown)}, which extract.language.identifier = "
                f'"{config.extract.language.identifier}" never answers; it knows {", ".join(sorted(known))}'
            )


def _check_errors(manifest: Manifest, max_share: float) -> None:
    changed = sum(count for name, count in manifest.counts.items() if name.endswith("/payload_changed"))
    if changed > max_share * manifest.counts["read"]:
        raise DataError(
            f"{changed} of {manifest.counts['read']} pages are no longer in their files as they were when these were indexed, "
            f"and run.max_error_share allows {max_share:.1%}; rejected/filter says which pages, `corpusmill ingest` indexes the files again"
        )
    errors = {name: count for name, count in manifest.counts.items() if "/error/" in name}
    share = sum(errors.values()) / max(1, manifest.counts["read"])
    if share > max_share:
        worst = max(errors, key=lambda name: errors[name])
        raise DataError(
            f"{share:.1%} of the pages ended in unforeseen errors, most often {worst.rpartition('/')[2]}; "
            f"run.max_error_share allows {max_share:.1%}; rejected/filter says which pages"
        )
