"""One Beam worker process: `python -m jobs.beam_worker CONTROL-ADDRESS WORKER-ID PARENT-PID`. Ends with its engine, or with its parent."""

import logging
import os
import sys
import threading
import time

_POLL_SECONDS = 1.0


def main(control: str, worker_id: str, parent: str) -> None:
    """Works for the engine at `control` until that has nothing more to do."""
    # Before Beam is imported, which may take seconds: the parent may be gone by then.
    threading.Thread(target=_end_with_parent, args=(int(parent),), daemon=True).start()
    from apache_beam.runners.worker.sdk_worker import SdkHarness

    logging.basicConfig(level=logging.WARNING)
    SdkHarness(control, worker_id=worker_id).run()


def _end_with_parent(parent: int) -> None:
    """A parent that was killed could not end its workers: they notice that they have another one."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
