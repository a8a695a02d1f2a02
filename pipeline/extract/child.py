"""The process in which pages are extracted: reads questions from a socket, answers each, ends when the socket does.

Started by `isolation`, never by hand.
"""

import gc
import pickle
import resource
import sys
import time
from multiprocessing.connection import Connection

from pipeline.errors import SettingError
from pipeline.extract.config import ExtractConfig
from pipeline.extract.html import PageExtractor
from pipeline.extract.isolation import Answer, Question, Raised
from pipeline.extract.results import Refused


def main() -> None:
    """Serves questions until the other side is gone."""
    connection = Connection(int(sys.argv[1]))
    config: ExtractConfig = connection.recv()
    try:
        extractor = PageExtractor(config)
        gc.freeze()  # the models stay: the collector need not look at them again
        _limit_memory(config.max_memory_bytes)
        _limit_cpu(config.max_cpu_seconds, at_start=True)
    except Exception as error:  # a missing model, say: the worker explains it
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            question = Question(*pickle.loads(connection.recv_bytes()))
        except (EOFError, OSError):
            return
        _limit_cpu(config.max_cpu_seconds)
        answer = _answer(question, config, extractor)
        connection.send_bytes(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
        if isinstance(answer, Refused) and answer.reason == "too_much_memory":
            return  # what is left of the heap is not worth trusting


def _answer(question: Question, config: ExtractConfig, extractor: PageExtractor) -> Answer:
    try:
        return extractor.extract(**question._asdict())
    except MemoryError:
        return Refused(reason="too_much_memory", threshold=config.max_memory_bytes)
    except Exception as error:  # the stage counts it
        return Raised(type(error).__name__, " ".join(str(error).split())[:300])


def _limit_memory(max_bytes: int) -> None:
    """Allows `max_bytes` of address space beyond what the process already has.

    Raises:
        SettingError: the system allows less, so that pages would be refused for where they are read.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
    except FileNotFoundError:  # not Linux: other systems do not enforce the limit anyway
        return
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    if most != resource.RLIM_INFINITY and held + max_bytes > most:
        raise SettingError(
            f"extract.max_memory_bytes is {max_bytes}, and this machine allows {max(most - held, 0)} more bytes of address "
            f"space to the extraction process (ulimit -v); raise that limit, or lower the setting"
        )
    resource.setrlimit(resource.RLIMIT_AS, (held + max_bytes, most))


def _limit_cpu(max_seconds: int, *, at_start: bool = False) -> None:
    """Allows `max_seconds` of CPU time from now, after which the system kills the process; fewer where its own limit comes first.

    Then the page is tried again in a new process, which has all of its time before it.

    Raises:
        SettingError: it is so from the start.
    """
    wanted, most = int(time.process_time()) + 1 + max_seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]
    if most != resource.RLIM_INFINITY and wanted > most:
        if at_start:
            raise SettingError(
                f"extract.max_cpu_seconds is {max_seconds}, and this machine allows {most} seconds of CPU time to a process "
                f"(ulimit -t); raise that limit, or lower the setting"
            )
        wanted = most
    resource.setrlimit(resource.RLIMIT_CPU, (wanted, most))


if __name__ == "__main__":
    main()
