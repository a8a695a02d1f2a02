"""The datatrove half of `benchmarks.dedup`: runs in an environment of its own, where datatrove is installed.

    python benchmarks/dedup_datatrove.py speed|steps DOCUMENTS.jsonl [FOLDER]

`speed` prints the CPU seconds from texts to signatures; `steps` runs the four steps of its MinHash deduplication in
one task and prints the CPU seconds and the ids of the survivors. Default settings: 5 words, 14 × 8, 64-bit xxHash.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def speed(path: str) -> dict[str, Any]:
    """CPU seconds for shingling and for signatures."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

    texts = [json.loads(line)["text"] for line in Path(path).read_text().splitlines()]
    step = MinhashDedupSignature("/tmp/unused-datatrove")
    step.get_signature(step.get_shingles(texts[0]))
    start = time.process_time()
    shingles = [step.get_shingles(text) for text in texts]
    middle = time.process_time()
    for one in shingles:
        if len(one):
            step.get_signature(one)
    return {"shingling": middle - start, "signatures": time.process_time() - middle}


def steps(path: str, folder: str) -> dict[str, Any]:
    """CPU seconds of the four steps, and who survives."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    source, name = str(Path(path).parent), Path(path).name
    seconds = {}
    pipelines = {
        "signatures": ([JsonlReader(source, glob_pattern=name), MinhashDedupSignature(f"{folder}/sigs")], 1),
        "buckets": ([MinhashDedupBuckets(f"{folder}/sigs", f"{folder}/buckets")], 14),
        "cluster": ([MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove")], 1),
        "filter": (
            [
                JsonlReader(source, glob_pattern=name),
                MinhashDedupFilter(f"{folder}/remove"),
                JsonlWriter(f"{folder}/out", compression=None),
            ],
            1,
        ),
    }
    for step, (pipeline, tasks) in pipelines.items():
        start = time.process_time()
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{folder}/logs/{step}").run()
        seconds[step] = time.process_time() - start
    kept = [json.loads(line)["id"] for out in Path(folder, "out").glob("*.jsonl") for line in out.open()]
    return {"seconds": seconds, "kept": kept}


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        result = speed(sys.argv[2]) if sys.argv[1] == "speed" else steps(sys.argv[2], sys.argv[3])
    print(json.dumps(result))
