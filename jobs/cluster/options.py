"""What people write behind `--` for Beam: checked before anything runs, and completed where we know better.

Beam drops a flag that it does not know with a mere warning, picks an engine by what it can download, and finds out
about a missing address after minutes. Here each is one sentence, and exit code 2.
"""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from jobs.cluster import control
from jobs.cluster.assembly import assembled_path
from jobs.cluster.job_server import FLINK_ARTIFACT, SPARK_ARTIFACT, job_server_jar
from jobs.cluster.maven import MavenSettings
from jobs.cluster.prism import prism_path
from jobs.cluster.rest import FlinkRest
from jobs.cluster.settings import LOOPBACK
from pipeline.errors import CorpusmillError, SettingError

LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
# What runs the pipelines here; Beam's own default would try to download another engine first.
_LOCAL = frozenset(("", "FnApiRunner", "DirectRunner", "SwitchingDirectRunner", LOCAL_RUNNER))
_REMOTE = ("FlinkRunner", "SparkRunner", "DataflowRunner", "PortableRunner", "PrismRunner")
_REFUSED = {
    "DaskRunner": "it loses records silently (tagged outputs, side inputs)",
    "BundleBasedDirectRunner": "it is ten to twenty times slower",
    "InteractiveRunner": "it is made for notebooks",
}
_EMBEDDED = ("[local]", "[auto]")
_ENVIRONMENTS = ("DOCKER", "EXTERNAL", "PROCESS", "LOOPBACK")
_DAYS_IN_SECONDS = 30 * 86400


class _Parser(_BeamArgumentParser):  # type: ignore[misc]  # Beam is untyped
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"behind --: {message}")


def parsed(arguments: Sequence[str]) -> Mapping[str, Any]:
    """The values of all Beam options.

    Raises:
        SettingError: a flag is unknown, or its value is of the wrong kind.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    values, unknown = parser.parse_known_args(list(arguments))
    if unknown:
        raise SettingError(
            f"unknown Beam option {unknown[0]!r} behind --; see the options of your runner in Beam's documentation"
        )
    return vars(values)


def runner_of(arguments: Sequence[str]) -> str:
    """The runner that the arguments name; empty for the local one.

    Raises:
        SettingError: it is unknown, or one that is not fit for this.
    """
    runner = str(parsed(arguments)["runner"] or "")
    if runner in _LOCAL:
        return ""
    if runner in _REFUSED:
        raise SettingError(f"--runner={runner}: {_REFUSED[runner]}; use one of {', '.join(_REMOTE)}, or none")
    if runner not in _REMOTE:
        raise SettingError(
            f"--runner={runner}: no such runner; known are {', '.join(_REMOTE)}, and none for this machine"
        )
    return runner


def completed(arguments: Sequence[str], maven: MavenSettings) -> tuple[str, ...]:
    """The arguments with what we know added: asks the cluster, and finds the job server.

    Raises:
        SettingError: something is missing or contradicts.
        CorpusmillError: the cluster does not answer, or there is no job server to be had.
    """
    runner = runner_of(arguments)
    values = parsed(arguments)
    complete = _COMPLETE.get(runner)
    return (*arguments, *(complete(values, arguments, maven) if complete else ()))


def _unlimited(arguments: Sequence[str]) -> list[str]:
    """Beam applies the limit for reaching a job server to the whole job, too; ours is the watchdog."""
    return [] if _given(arguments, "job_server_timeout") else [f"--job_server_timeout={_DAYS_IN_SECONDS}"]


def _given(arguments: Sequence[str], name: str) -> bool:
    return any(argument.partition("=")[0] == f"--{name}" for argument in arguments)


def _flink(values: Mapping[str, Any], arguments: Sequence[str], maven: MavenSettings) -> list[str]:
    master = str(values["flink_master"])
    if master in _EMBEDDED:
        return _flink_jar(values, str(values["flink_version"]), maven)
    own = control.running_at(master)
    added = []
    if own is not None and not values["environment_type"]:
        added += ["--environment_type=EXTERNAL", f"--environment_config={LOOPBACK}:{own.pool_port}"]
    else:
        _check_environment(values)
    address = master if master.startswith("http") else f"http://{master}"
    version = ".".join(FlinkRest(address.rstrip("/")).version().split(".")[:2])
    if _given(arguments, "flink_version") and version != values["flink_version"]:
        raise SettingError(f"--flink_version={values['flink_version']}, and the cluster at {master} is Flink {version}")
    if not _given(arguments, "flink_version"):
        parsed([f"--flink_version={version}"])  # whether Beam knows it
        added.append(f"--flink_version={version}")
    if own is not None and not _given(arguments, "parallelism"):
        added.append(f"--parallelism={own.parallelism}")
    if own is not None and own.workers_per_manager > 1 and not _given(arguments, "sdk_worker_parallelism"):
        added.append(f"--sdk_worker_parallelism={own.workers_per_manager}")
    chosen = values["flink_job_server_jar"] or values["job_endpoint"] or maven.job_server_sha256
    if own is not None and own.job_port and not chosen:
        return [*added, f"--job_endpoint={LOOPBACK}:{own.job_port}", *_unlimited(arguments)]
    return [*added, *_flink_jar(values, version, maven)]


def _flink_jar(values: Mapping[str, Any], version: str, maven: MavenSettings) -> list[str]:
    if values["job_endpoint"]:
        _check_endpoint(values["job_endpoint"])
        return []
    given = values["flink_job_server_jar"]
    jar = job_server_jar(
        FLINK_ARTIFACT.format(version), given, "--flink_job_server_jar", maven, assembled_path(version)
    )
    return [] if jar == given else [f"--flink_job_server_jar={jar}"]


def _spark(values: Mapping[str, Any], arguments: Sequence[str], maven: MavenSettings) -> list[str]:
    if not _given(arguments, "spark_master_url"):
        raise SettingError("--runner=SparkRunner needs --spark_master_url=spark://HOST:PORT (or local[N])")
    if not str(values["spark_master_url"]).startswith("local"):
        _check_environment(values)
    if values["spark_submit_uber_jar"] and not values["spark_rest_url"]:
        raise SettingError("--spark_submit_uber_jar needs --spark_rest_url=http://HOST:PORT")
    if values["job_endpoint"]:
        _check_endpoint(values["job_endpoint"])
        return []
    given = values["spark_job_server_jar"]
    jar = job_server_jar(SPARK_ARTIFACT, given, "--spark_job_server_jar", maven)
    return [] if jar == given else [f"--spark_job_server_jar={jar}"]


def _portable(values: Mapping[str, Any], arguments: Sequence[str], _maven: MavenSettings) -> list[str]:
    if not values["job_endpoint"]:
        raise SettingError("--runner=PortableRunner needs --job_endpoint=HOST:PORT, where a job server listens")
    _check_environment(values)
    _check_endpoint(values["job_endpoint"])
    return _unlimited(arguments)


def _prism(values: Mapping[str, Any], _arguments: Sequence[str], _maven: MavenSettings) -> list[str]:
    if values["environment_type"]:
        _check_environment(values)
    given, built = str(values["prism_location"] or ""), prism_path()
    if not given and built.is_file():
        return [f"--prism_location={built}"]
    if not os.path.isfile(given):
        what = f"{given} is no file" if given else "corpusmill cluster prism builds one"
        raise SettingError(f"--runner=PrismRunner needs --prism_location=PATH, the prism binary; {what}")
    return []


def _dataflow(values: Mapping[str, Any], _arguments: Sequence[str], _maven: MavenSettings) -> list[str]:
    missing = [name for name in ("project", "region", "temp_location") if not values[name]]
    if missing:
        raise SettingError(f"--runner=DataflowRunner needs {', '.join(f'--{name}=…' for name in missing)}")
    if not str(values["temp_location"]).startswith("gs://"):
        raise SettingError(f"--temp_location={values['temp_location']}: Dataflow needs a gs:// path")
    if not any(values[name] for name in ("sdk_container_image", "setup_file", "extra_packages", "requirements_file")):
        raise SettingError(
            "--runner=DataflowRunner needs --sdk_container_image=IMAGE (or --setup_file=…): its workers have no corpusmill"
        )
    try:
        import apache_beam.runners.dataflow.internal.apiclient  # noqa: F401
    except ImportError:
        raise CorpusmillError("Dataflow needs pip install 'corpusmill[gcp]'") from None
    return []


_COMPLETE: dict[str, Callable[[Mapping[str, Any], Sequence[str], MavenSettings], list[str]]] = {
    "FlinkRunner": _flink,
    "SparkRunner": _spark,
    "PortableRunner": _portable,
    "PrismRunner": _prism,
    "DataflowRunner": _dataflow,
}


def _check_environment(values: Mapping[str, Any]) -> None:
    """Workers on other machines need our code: how they get it must be said."""
    kind, config = values["environment_type"], values["environment_config"] or values["environment_options"]
    if not kind:
        raise SettingError(
            "a cluster needs to know how its workers start: --environment_type=EXTERNAL --environment_config=HOST:PORT "
            "(worker pools), DOCKER with an image, or PROCESS with a command"
        )
    if kind not in _ENVIRONMENTS and not str(kind).startswith("beam:env:"):
        raise SettingError(f"--environment_type={kind}; allowed are {', '.join(_ENVIRONMENTS)}")
    if not config and kind != "LOOPBACK":
        wanted = {"DOCKER": "IMAGE", "EXTERNAL": "HOST:PORT", "PROCESS": '{"command": "PATH"}'}.get(str(kind), "…")
        raise SettingError(f"--environment_type={kind} needs --environment_config={wanted}")


def _check_endpoint(endpoint: str) -> None:
    host, _, port = str(endpoint).rpartition(":")
    if endpoint == "embed":
        raise SettingError("--job_endpoint=embed shares this process; leave out --runner for this machine")
    if not host or not port.isdigit():
        raise SettingError(f"--job_endpoint={endpoint}; expected is HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=5.0).close()
    except OSError as error:
        raise CorpusmillError(f"no job server answers at {endpoint}: {error.strerror or error}") from None
