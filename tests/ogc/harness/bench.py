"""The figures of the façade: bench.py WEIR PEER-PYTHON JOBS, by tests/ogc/bench."""
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness.client import ASYNC, Client  # noqa: E402
from harness.peer import Peer  # noqa: E402
from harness.server import Server  # noqa: E402

CONNECTIONS, SECONDS = 64, 10
PEER_JOBS = 200
UNITS = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}


def wrk(url, seconds=SECONDS, connections=CONNECTIONS):
    """Requests a second and the 99th percentile in ms, of GETs on connections that stay."""
    said = subprocess.run(["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency",
                           "--timeout", "30s", "--header", "Accept: application/json", url],
                          capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said and "Requests/sec" in said, said
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", said).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]), float(number) * UNITS[unit]


class Submitter(threading.Thread):
    """Sends one execute request after the other on one connection."""

    def __init__(self, url, body, todo):
        super().__init__()
        self.parts, self.body, self.todo, self.taken, self.refused = urllib.parse.urlsplit(url), body, todo, [], 0

    def run(self):
        connection = http.client.HTTPConnection(self.parts.netloc, timeout=60)
        headers = {"Content-Type": "application/json", "Prefer": ASYNC, "Accept": "application/json"}
        for _ in self.todo:
            while True:
                connection.request("POST", self.parts.path, self.body, headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status == 201:
                    self.taken.append(answer.headers["Location"])
                    break
                assert answer.status in (429, 503), body
                self.refused += 1
                time.sleep(0.02)


def execute(base, process, inputs, count, is_over):
    """Executions a second until all are over, and until all were taken; URLs of the jobs."""
    todo, lock = iter(range(count)), threading.Lock()

    class Todo:
        def __iter__(self):
            return self

        def __next__(self):
            with lock:
                return next(todo)
    started = time.monotonic()
    threads = [Submitter(f"{base}/processes/{process}/execution", json.dumps({"inputs": inputs}), Todo()) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - started
    jobs = [job for thread in threads for job in thread.taken]
    while not is_over(jobs):
        time.sleep(0.05)
    return count / (time.monotonic() - started), count / taken, jobs


def of_weir(program, count):
    with tempfile.TemporaryDirectory() as folder:
        with Server(program, pathlib.Path(folder, "data"), "--queue", str(count + 1000)) as server:
            api = Client(server.base())

            def is_over(_):
                return not any(api.get(f"/jobs?status={status}&limit=1").json()["jobs"] for status in ("accepted", "running"))
            print(f"weir, memory at start                    {server.memory() / 2**20:8.1f} MiB")
            done, taken, jobs = execute(server.base(), "echo", {"echoInput": "lake"}, count, is_over)
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


def show(what, measured):
    print(f"{what:40} {measured[0]:8.0f} requests/s, p99 {measured[1]:8.2f} ms", flush=True)


if __name__ == "__main__":
    program, python, count = sys.argv[1:4]
    print(f"{CONNECTIONS} connections that stay, {SECONDS} s each, {os.cpu_count()} cores shared with the load generator")
    of_weir(program, int(count))
    of_peer(python)
