"""One Beam worker process: `python -m jobs.cluster.worker CONTROL-ADDRESS WORKER-ID`. Ends with its engine, or with its pool."""

import logging
import os
import sys
import threading
import time

_POLL_SECONDS = 1.0


def main(control: str, worker_id: str) -> None:
    """Works for the engine at `control` until that has nothing more to do."""
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    logging.basicConfig(level=logging.WARNING)
    threading.Thread(target=_end_with_pool, args=(os.getppid(),), daemon=True).start()
    SdkHarness(control, worker_id=worker_id).run()


def _end_with_pool(pool: int) -> None:
    """A pool that was killed could not end its workers: they notice that they have another parent."""
    while os.getppid() == pool:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
