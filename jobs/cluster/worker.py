"""One Beam worker process: `python -m jobs.cluster.worker CONTROL-ADDRESS WORKER-ID POOL-PID`. Ends with its engine, or with its pool."""

import logging
import os
import sys
import threading
import time

_POLL_SECONDS = 1.0


def main(control: str, worker_id: str, pool: str) -> None:
    """Works for the engine at `control` until that has nothing more to do."""
    # Before Beam is imported, which takes seconds: the pool may be gone by then.
    threading.Thread(target=_end_with_pool, args=(int(pool),), daemon=True).start()
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    logging.basicConfig(level=logging.WARNING)
    SdkHarness(control, worker_id=worker_id).run()


def _end_with_pool(pool: int) -> None:
    """A pool that was killed could not end its workers: they notice that they have another parent."""
    while os.getppid() == pool:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
