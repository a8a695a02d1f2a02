"""A pool of Beam workers: starts a worker process whenever an engine asks for one, and ends what is left at its end.

`python -m jobs.cluster.pool --port N`. Beam's own pool listens on every interface, runs whatever `python` is on the
path, and lets a worker block on a pipe that nobody reads; this one keeps to loopback, uses the interpreter that it
runs in, and leaves what the workers print to its own log. Several pools may listen on one port: the kernel then
shares out the requests among them, and when one dies, the others go on.
"""

import argparse
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import Any

import grpc  # type: ignore[import-untyped]
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from jobs.cluster.settings import LOOPBACK
from jobs.forking import Worker, WorkerSource, worker

_OPTIONS = (("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0), ("grpc.so_reuseport", 1))


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):  # type: ignore[misc]
    """Beam's interface of an external environment."""

    def __init__(self) -> None:
        self._source = WorkerSource()
        # Each task manager counts for itself, so with pools on one port two may ask the same one for a worker of one name.
        self._workers: dict[str, list[Worker]] = {}
        self._lock = threading.Lock()

    def StartWorker(self, request: Any, context: Any) -> Any:
        """Starts a process that asks the engine for work."""
        try:
            with self._lock:
                self._forget_ended()
                begun = self._begun(request.control_endpoint.url, request.worker_id)
                self._workers.setdefault(request.worker_id, []).append(begun)
            print(f"worker {request.worker_id} starts as process {begun.pid}", flush=True)
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=f"no worker could be started: {error}")
        return beam_fn_api_pb2.StartWorkerResponse()

    def _begun(self, control: str, worker_id: str) -> Worker:
        with suppress(OSError):  # the server may have been killed, for want of memory perhaps: another one does as well
            return worker(self._source.descriptor, control, worker_id)
        self._source.close()
        self._source = WorkerSource()
        return worker(self._source.descriptor, control, worker_id)

    def StopWorker(self, request: Any, context: Any) -> Any:
        """Ends a process. Of several with the name nobody knows which is meant: they end with the connection to their engine."""
        with self._lock:
            self._forget_ended()
            found = self._workers.get(request.worker_id, ())
            if len(found) == 1:
                del self._workers[request.worker_id]
                found[0].end()
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget_ended(self) -> None:
        for worker_id, found in list(self._workers.items()):
            for each in list(found):
                if (code := each.poll()) is not None:
                    print(f"worker {worker_id} ended with {code}", flush=True)
                    found.remove(each)
            if not found:
                del self._workers[worker_id]

    def end_all(self) -> None:
        """Ends every worker that is left."""
        with self._lock:
            for each in chain.from_iterable(self._workers.values()):
                each.end()
            self._workers.clear()
            self._source.close()


def serve(port: int) -> tuple[Any, WorkerPool, int]:
    """A pool that serves on `port` of loopback (0: any); returns server, pool and port."""
    server, pool = grpc.server(ThreadPoolExecutor(8), options=_OPTIONS), WorkerPool()
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    bound = server.add_insecure_port(f"{LOOPBACK}:{port}")
    server.start()
    return server, pool, bound


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server, pool, port = serve(parser.parse_args(arguments).port)
    print(f"a pool of workers listens on port {port}", flush=True)
    while not ended.wait(3600):
        pass
    server.stop(0)
    pool.end_all()


if __name__ == "__main__":
    main()
