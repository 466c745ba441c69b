"""The figures of the façade: bench.py WEIR PEER-PYTHON JOBS, by tests/ogc/bench."""
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.client import Client  # noqa: E402
from harness.load import CONNECTIONS, SECONDS, execute, nothing_runs, show, wrk  # noqa: E402
from harness.peer import Peer  # noqa: E402
from harness.server import Server  # noqa: E402

PEER_JOBS = 200


def of_weir(program, count):
    with tempfile.TemporaryDirectory() as folder:
        with Server(program, pathlib.Path(folder, "data"), "--queue", str(count + 1000)) as server:
            print(f"weir, memory at start                    {server.memory() / 2**20:8.1f} MiB")
            done, taken, jobs = execute(server.base(), "echo", {"echoInput": "lake"}, count, nothing_runs(server.base()))
            print(f"weir, async echo                         {done:8.0f} executions/s, {taken:.0f} accepted/s, {len(jobs)} jobs")
            print(f"weir, memory with {count} jobs          {server.memory() / 2**20:8.1f} MiB")
            show("weir, job status", wrk(jobs[count // 2]))
            show("weir, /jobs?limit=100", wrk(server.base() + "/jobs?limit=100"))
            show("weir, /jobs?limit=100, 1 connection", wrk(server.base() + "/jobs?limit=100", connections=1))
            show("weir, landing page", wrk(server.base() + "/"))
            show("weir, description of echo", wrk(server.base() + "/processes/echo"))
            print(f"weir, memory afterwards                  {server.memory() / 2**20:8.1f} MiB")
            started = time.monotonic()
            server.kill()
            server.start()
            server.answers()
            print(f"weir, kill -9 to answering again         {time.monotonic() - started:8.1f} s, {server.memory() / 2**20:.1f} MiB")


def of_peer(python):
    with tempfile.TemporaryDirectory() as folder, Peer(python, folder) as peer:
        api = Client(peer.base)

        def is_over(jobs):
            return all(api.get(f"/jobs/{job.rsplit('/', 1)[1]}?f=json").json()["status"] in ("successful", "failed") for job in jobs[-20:])
        done, taken, jobs = execute(peer.base, "hello-world", {"name": "lake"}, PEER_JOBS, is_over)
        print(f"pygeoapi, async hello-world              {done:8.0f} executions/s, {taken:.0f} accepted/s, {len(jobs)} jobs")
        show(f"pygeoapi, job status, {PEER_JOBS} jobs", wrk(jobs[0] + "?f=json"))
        show(f"pygeoapi, /jobs?limit=100, {PEER_JOBS} jobs", wrk(peer.base + "/jobs?f=json&limit=100"))
        show("pygeoapi, landing page", wrk(peer.base + "/?f=json"))
        show("pygeoapi, description of hello-world", wrk(peer.base + "/processes/hello-world?f=json"))


if __name__ == "__main__":
    program, python, count = sys.argv[1:4]
    print(f"{CONNECTIONS} connections that stay, {SECONDS} s each, {os.cpu_count()} cores shared with the load generator")
    of_weir(program, int(count))
    of_peer(python)
