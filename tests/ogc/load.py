"""How many executions of `echo` a façade takes and ends, and how fast it answers beside that: what `bench` measures on one
machine, for a server that runs already.

    tests/ogc/load.py BASE [JOBS]      JOBS: 1000. Needs wrk
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import target  # noqa: E402
from harness.load import execute, nothing_runs, show, wrk  # noqa: E402

if __name__ == "__main__":
    base, count = target.base(), int((target.arguments() or ["1000"])[0])
    done, taken, jobs = execute(base, "echo", {"echoInput": "lake"}, count, nothing_runs(base))
    print(f"{'async echo':40} {done:8.1f} executions/s, {taken:.1f} accepted/s, {len(jobs)} jobs")
    show("job status", wrk(jobs[count // 2]))
    show("/jobs?limit=100", wrk(base + "/jobs?limit=100"))
