"""The process in which pages are extracted: reads questions from a socket, answers each, ends when the socket does.

Started by `isolation`, never by hand.
"""

import gc
import pickle
import resource
import sys
import time
from multiprocessing.connection import Connection

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
    except Exception as error:  # a missing model, say: the worker explains it
        connection.send(error)
        return
    gc.freeze()  # the models stay: the collector need not look at them again
    _limit_memory(config.max_memory_bytes)
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
    """Allows `max_bytes` of address space beyond what the process already has."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
    except FileNotFoundError:  # not Linux: other systems do not enforce the limit anyway
        return
    resource.setrlimit(resource.RLIMIT_AS, (held + max_bytes, resource.RLIM_INFINITY))


def _limit_cpu(max_seconds: int) -> None:
    """Allows `max_seconds` of CPU time from now, after which the system kills the process."""
    used = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + max_seconds, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
