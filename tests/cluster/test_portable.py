"""Every pipeline stays within what all portable engines share, and Dataflow accepts its job file."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import userstate, window

from jobs import config as settings
from jobs import count, crawl, curate, decontaminate, engine, ingest, pack
from jobs.cluster.portable import violations
from jobs.engine import Engine
from tests import corpora
from tests.runs import Made
from tests.site.server import serving
from tests.test_determinism import CRAWL, site_of

pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[beam.Pipeline]:
    """Each pipeline that a job runs from now on."""
    found: list[beam.Pipeline] = []
    run = engine._run_pipeline

    def noting(build: Callable[[Any], object], chosen: Engine) -> None:
        pipeline = beam.Pipeline(options=chosen.options())
        build(pipeline)
        found.append(pipeline)
        run(build, chosen)

    monkeypatch.setattr(engine, "_run_pipeline", noting)
    return found


def crawl_once(folder: Path) -> None:
    import random

    with serving(site_of(corpora.good_texts(3), slowness=random.Random(1))) as server:  # type: ignore[arg-type]
        place = folder / "crawl.toml"
        place.write_text(CRAWL.format(run=folder / "crawl", seed=server.url("/"), port=server.port), "utf-8")
        crawl.main(settings.load(str(place)), Engine())


def test_every_job_stays_within_the_portable_part(
    built: list[beam.Pipeline], copy: Callable[[], Made], tmp_path: Path
) -> None:
    mine = copy()
    texts = corpora.write_jsonl(tmp_path / "evaluation.jsonl", [{"text": text} for text in corpora.good_texts(3)])
    config = settings.load(str(mine.settings), [f'dedup.decontaminate.sets=["{texts}"]'])
    numbers = {}
    crawl_once(tmp_path)
    numbers["crawl"] = len(built)
    for job in (ingest, curate, decontaminate, count, pack):
        before = len(built)
        job.main(config, Engine(), force=True)
        numbers[job.__name__] = len(built) - before
    assert all(numbers.values()), f"some job built no pipeline: {numbers}"
    for pipeline in built:
        assert violations(pipeline.to_runner_api()) == []


# --- the check itself ---------------------------------------------------------------------------------------


STATE = beam.DoFn.StateParam(userstate.BagStateSpec("state", BytesCoder()))
TIMER_SPEC = userstate.TimerSpec("timer", userstate.TimeDomain.REAL_TIME)
TIMER = beam.DoFn.TimerParam(TIMER_SPEC)


class Remembers(beam.DoFn):
    def process(self, element: Any, state: Any = STATE) -> Iterator[Any]:
        yield element


class Waits(beam.DoFn):
    def process(self, element: Any, timer: Any = TIMER) -> Iterator[Any]:
        yield element

    @userstate.on_timer(TIMER_SPEC)
    def ring(self) -> None:
        """Never."""


class Finalizes(beam.DoFn):
    def process(self, element: Any, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> Iterator[Any]:
        finalizer.register(print)
        yield element


def pairs(pipeline: beam.Pipeline) -> Any:
    return pipeline | beam.Create([(1, b"a"), (2, b"b")]) | beam.Map(_same).with_output_types(tuple[int, bytes])


def _same(element: Any) -> Any:
    return element


def flatten_of_coders(pipeline: beam.Pipeline) -> Any:
    return (pairs(pipeline), pipeline | "Texts" >> beam.Create(["a"])) | beam.Flatten()


def flatten_and_group(pipeline: beam.Pipeline) -> Any:
    one = pairs(pipeline)
    other = (
        pipeline | "More" >> beam.Create([(3, b"c")]) | "Typed" >> beam.Map(_same).with_output_types(tuple[int, bytes])
    )
    return (one, other) | beam.Flatten(), one | beam.GroupByKey()


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda p: pairs(p) | beam.ParDo(Remembers()), "state"),
        (lambda p: pairs(p) | beam.ParDo(Waits()), "timers"),
        (lambda p: pairs(p) | beam.ParDo(Finalizes()), "bundle finalizers"),
        (lambda p: pairs(p) | beam.WindowInto(window.FixedWindows(5)) | beam.GroupByKey(), "windows of its own"),
        (lambda p: p | beam.Create([({"a": 1}, 2)]) | beam.GroupByKey(), "keys of type"),
        (flatten_of_coders, "a Flatten of different coders"),
        (flatten_and_group, "also read by the Flatten"),
    ],
)
def test_what_is_not_portable_is_found(build: Callable[[beam.Pipeline], Any], said: str) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions(["--allow_unsafe_triggers"]))
    build(pipeline)
    assert any(said in each for each in violations(pipeline.to_runner_api())), violations(pipeline.to_runner_api())


def test_a_splittable_function_is_found(tmp_path: Path) -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    (tmp_path / "text").write_text("a\n")
    pipeline | beam.io.ReadFromText(str(tmp_path / "text"))
    assert any("splittable" in each or "read" in each for each in violations(pipeline.to_runner_api()))


def test_what_is_portable_passes() -> None:
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    keyed = pairs(pipeline) | beam.Reshuffle()
    keyed | beam.GroupByKey() | "Rest" >> beam.Map(_same)
    keyed | beam.CombinePerKey(max)
    assert violations(pipeline.to_runner_api()) == []
