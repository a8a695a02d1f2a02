"""Flink's distribution as it comes from the package registry: where it is, and the commands that start it."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from pipeline.errors import CorpusmillError

PACKAGE = "apache-flink-libraries"
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_SIZER = "org.apache.flink.runtime.util.bash.BashJavaUtils"
_RESULT = "BASH_JAVA_UTILS_EXEC_RESULT:"
_OLDEST_JAVA, _NEWEST_JAVA = 11, 21
# What Flink's own configuration opens of the Java modules since Java 16.
_OPENED = (
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
            "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
        )
    ),
)  # fmt: skip
LOGGING = """rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = RollingFile
appender.file.fileName = ${sys:log.file}
appender.file.filePattern = ${sys:log.file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
"""


def distribution_folder() -> Path:
    """The folder of Flink's distribution.

    Raises:
        CorpusmillError: the package is not installed.
    """
    try:
        found = distribution(PACKAGE).locate_file("pyflink")
    except PackageNotFoundError:
        raise CorpusmillError("Flink is not installed; pip install 'corpusmill[flink]'") from None
    folder = Path(str(found))
    if not list(folder.glob("lib/flink-dist-*.jar")):
        raise CorpusmillError(f"{folder} holds no Flink; pip install --force-reinstall {PACKAGE}")
    return folder


def flink_version(folder: Path) -> str:
    """The version of the distribution, as Beam names it: major and minor."""
    name = next(folder.glob("lib/flink-dist-*.jar")).name
    found = re.search(r"-(\d+\.\d+)\.", name)
    return found[1] if found else ""


def java_command() -> str:
    """The path of a Java that can run Flink.

    Raises:
        CorpusmillError: there is none, or it is too old or too new.
    """
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home) / "bin/java") if home else "java"
    found = shutil.which(command)
    if found is None:
        where = f"JAVA_HOME is {home}, which holds no bin/java" if home else "there is no java on the PATH"
        raise CorpusmillError(f"Flink needs Java {_OLDEST_JAVA} or 17, and {where}")
    version = _java_version(found)
    if not _OLDEST_JAVA <= version <= _NEWEST_JAVA:
        raise CorpusmillError(f"Flink needs Java {_OLDEST_JAVA} to {_NEWEST_JAVA}, and {found} is Java {version}")
    return found


def _java_version(command: str) -> int:
    said = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def job_manager_command(java: str, folder: Path, config: Path, log: Path, *, beam: str = "") -> list[str]:
    """The command of the job manager. With `beam`, a jar, jobs share the classes in it: each would load its own otherwise."""
    jvm, dynamic = _sizes(java, folder, config, "GET_JM_RESOURCE_PARAMS")
    return [*_java(java, folder, config, log, jvm, beam), _JOB_MANAGER, "--configDir", str(config), *dynamic]


def task_manager_command(java: str, folder: Path, config: Path, log: Path, *, beam: str = "") -> list[str]:
    """The command of a task manager. With `beam`, a jar, jobs share the classes in it: each would load its own otherwise."""
    jvm, dynamic = _sizes(java, folder, config, "GET_TM_RESOURCE_PARAMS")
    return [*_java(java, folder, config, log, jvm, beam), _TASK_MANAGER, "--configDir", str(config), *dynamic]


def _java(java: str, folder: Path, config: Path, log: Path, jvm: Sequence[str], beam: str) -> list[str]:
    logging = [f"-Dlog.file={log}", f"-Dlog4j.configurationFile={config / 'log4j.properties'}"]
    opened = _OPENED if _java_version(java) > _OLDEST_JAVA else ()
    return [java, *jvm, *opened, *logging, "-cp", f"{folder}/lib/*" + (f":{beam}" if beam else "")]


def _sizes(java: str, folder: Path, config: Path, question: str) -> tuple[list[str], list[str]]:
    """How Flink divides the memory of a process: options for Java, and settings for the process itself."""
    classes = f"{folder}/bin/bash-java-utils.jar:{folder}/lib/*"
    command = [java, "-cp", classes, _SIZER, question, "--configDir", str(config)]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [line.removeprefix(_RESULT).split() for line in asked.stdout.splitlines() if line.startswith(_RESULT)]
    if asked.returncode or len(answers) != 2:
        lines = [line for line in (asked.stdout + asked.stderr).splitlines() if "Exception" in line] or [
            "no reason given"
        ]
        raise CorpusmillError(f"Flink refuses {config / 'config.yaml'}: {lines[-1].strip()}")
    return answers[0], answers[1]
