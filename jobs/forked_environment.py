"""Beam's local runner with forked worker processes, in place of its own that each import everything anew."""

import threading
from typing import Any

from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler, WorkerHandler
from apache_beam.transforms.environments import Environment, python_sdk_capabilities

from jobs import forking
from jobs.apart import WORKER_THREAD

_URN = "corpusmill:environment:forked:v1"


def runner_of_forks(descriptor: int) -> FnApiRunner:
    """A runner whose workers are asked of the server behind `descriptor`."""
    return FnApiRunner(default_environment=ForkedEnvironment(descriptor))


class ForkedEnvironment(Environment):
    """What a pipeline says of where its functions run."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(capabilities=python_sdk_capabilities())
        self.descriptor = descriptor

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        """How it is written in the pipeline."""
        return _URN, str(self.descriptor).encode()


@WorkerHandler.register_environment(_URN, bytes)
class ForkedWorkerHandler(GrpcWorkerHandler):
    """One worker process, and the thread that waits for its end."""

    def __init__(self, payload: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._descriptor = int(payload)

    def start_worker(self) -> None:
        """Begins it."""
        self._thread = threading.Thread(target=self._run, name=WORKER_THREAD, daemon=True)
        self._thread.start()

    def stop_worker(self) -> None:
        """Waits until it has ended, as it does when its connections are closed."""
        self._thread.join()

    def _run(self) -> None:
        code = forking.worker(self._descriptor, self.control_address, self.worker_id).wait()
        if code:
            raise RuntimeError(f"exit code {code}")
