"""Load on a façade: GETs by wrk, executions on connections of our own."""
import http.client
import json
import re
import subprocess
import threading
import time
import urllib.parse

from harness.client import ASYNC, Client

CONNECTIONS, SECONDS = 64, 10
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


def nothing_runs(base):
    """Whether all jobs of the tenant are over, whatever they are."""
    api = Client(base)
    return lambda _: not any(api.get(f"/jobs?status={status}&limit=1").json()["jobs"] for status in ("accepted", "running"))


def show(what, measured):
    print(f"{what:40} {measured[0]:8.0f} requests/s, p99 {measured[1]:8.2f} ms", flush=True)
