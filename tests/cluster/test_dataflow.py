"""A job file for Dataflow, made without any network, and checked against Google's own description of a job."""

import json
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2

from jobs import config as settings
from jobs import curate
from jobs.cluster.maven import MavenSettings
from jobs.cluster.options import completed
from jobs.cluster.portable import violations
from pipeline.corpus import CuratePages, page_shards
from pipeline.errors import SettingError
from pipeline.stage import shard_elements
from tests.runs import Made

pytestmark = pytest.mark.xdist_group("runs")
IMAGE = "europe-docker.pkg.dev/project/corpusmill/corpusmill:0.1.0"
OPTIONS = (
    "--runner=DataflowRunner",
    "--project=project",
    "--region=europe-west4",
    "--temp_location=gs://bucket/temporary",
)


@pytest.fixture
def client() -> object:
    return pytest.importorskip(
        "google.cloud.dataflow_v1beta3", reason="needs pip install 'corpusmill[gcp]', Google's client of Dataflow"
    )


def described(folder: Path, made: Made) -> str:
    """The job of the filter step as Dataflow would get it, its pipeline staged in `folder`."""
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

    config = settings.load(str(made.settings))
    step = curate.filter_step(config)
    offline = [
        *OPTIONS, "--no_auth", "--dry_run=True", f"--staging_location={folder}", f"--sdk_container_image={IMAGE}",
        "--machine_type=n2d-highcpu-16", "--max_num_workers=200", "--autoscaling_algorithm=THROUGHPUT_BASED",
        "--sdk_location=container",
    ]  # fmt: skip
    pipeline = beam.Pipeline(options=PipelineOptions(offline))
    shards = pipeline | "Shards" >> beam.Create(shard_elements(page_shards(config.run.folder)))
    shards | "CuratePages" >> CuratePages(step, config.extract, config.filter, pages=step.run)
    job = pipeline.run().job
    job.options.view_as(GoogleCloudOptions).staging_location = str(folder)
    DataflowApplicationClient(job.options).create_job_description(job)
    return str(job.json())


@pytest.mark.slow
def test_a_job_file_is_what_dataflow_describes(client: object, made: Made, tmp_path: Path) -> None:
    value = json.loads(described(tmp_path, made))
    job = client.Job.from_json(json.dumps(value), ignore_unknown_fields=False)  # type: ignore[attr-defined]
    pool = job.environment.worker_pools[0]
    assert pool.machine_type == "n2d-highcpu-16"
    assert pool.autoscaling_settings.max_num_workers == 200
    assert [image.container_image for image in pool.sdk_harness_container_images] == [IMAGE]
    staged = next(path for path in tmp_path.rglob("*pipeline.pb*"))
    pipeline = beam_runner_api_pb2.Pipeline.FromString(staged.read_bytes())
    assert any(transform.unique_name.endswith("ProcessShard") for transform in pipeline.components.transforms.values())
    assert violations(pipeline) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "--sdk_container_image"),  # nobody has said how the workers get our code
        (("--temp_location=/tmp",), "gs://"),
        (("--max_workers=3",), "unknown Beam option"),  # it is called --max_num_workers
    ],
)
def test_options_are_checked_before_anything_runs(more: tuple[str, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        completed((*OPTIONS, *more), MavenSettings())


@pytest.mark.parametrize("missing", ["--project", "--region", "--temp_location"])
def test_what_dataflow_needs_is_named(missing: str) -> None:
    given = [option for option in OPTIONS if not option.startswith(missing)]
    with pytest.raises(SettingError, match=missing):
        completed(given, MavenSettings())
