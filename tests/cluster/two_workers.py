"""Beam's own job service, with two workers for a pipeline where it has one: `python two_workers.py PORT-FILE [PORT]`."""

import sys
import threading
from pathlib import Path
from typing import Any

from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability import local_job_service
from apache_beam.runners.portability.fn_api_runner import fn_runner


class BeamJob(local_job_service.BeamJob):
    def _invoke_runner(self) -> Any:
        self.set_state(beam_job_api_pb2.JobState.RUNNING)
        runner = fn_runner.FnApiRunner(provision_info=self._provision_info)
        runner._num_workers = 2
        return runner.run_via_runner_api(self._pipeline_proto, self.pipeline_options())


if __name__ == "__main__":
    service = local_job_service.LocalJobServicer(beam_job_type=BeamJob)
    place = Path(sys.argv[1])
    part = place.with_suffix(".part")
    part.write_text(str(service.start_grpc_server(int(sys.argv[2]) if sys.argv[2:] else 0)), "ascii")
    part.replace(place)
    threading.Event().wait()
