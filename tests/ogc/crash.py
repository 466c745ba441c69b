"""What was answered stays true (invariant I4): kill -9 right after an answer, start again, ask again.

    tests/ogc/crash.py WEIR [ROUNDS] [SEED]
"""
import pathlib
import random
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.client import ASYNC, Client, fresh, package  # noqa: E402
from harness.scenes import Listener  # noqa: E402
from harness.server import Server  # noqa: E402


def expect(condition, what):
    if not condition:
        sys.exit(f"crash: {what}")


def burst(client, process, answered, stop):
    """Starts jobs until the server is gone; remembers those that were answered for."""
    while not stop.is_set():
        try:
            answer = client.execute(process, {"text": "x"}, ASYNC)
        except OSError:
            return
        if answer.status == 201:
            answered.append(answer.json()["jobID"])


def main():
    program, rounds, seed = (sys.argv[1:] + ["5", "1"][len(sys.argv) - 2:])[:3]
    random.seed(int(seed))
    with tempfile.TemporaryDirectory() as folder, Server(program, pathlib.Path(folder, "data")) as server:
        client = Client(server.base())
        jobs, deployed, gone = [], [], []
        for number in range(int(rounds)):
            process = fresh("kept")
            expect(client.deploy(package("one", process)).status == 201, "no process was deployed")
            deployed.append(process)
            answered, stop = [], threading.Event()
            threads = [threading.Thread(target=burst, args=(client, process, answered, stop)) for _ in range(4)]
            for thread in threads:
                thread.start()
            deadline = time.monotonic() + 30
            while not answered and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(random.uniform(0.05, 0.6))
            server.kill()
            stop.set()
            for thread in threads:
                thread.join()
            expect(answered, f"round {number}: no job was answered for within 30 s")
            jobs += answered
            server.start()
            for job in jobs:
                answer = client.get(f"/jobs/{job}")
                expect(answer.status == 200, f"round {number}: {answer}")
            for process in deployed:
                expect(client.get(f"/processes/{process}").status == 200, f"round {number}: {process} is gone")
            for process in gone:
                expect(client.get(f"/processes/{process}").status == 404, f"round {number}: {process} is back")
            for job in answered:
                client.wait(job)
            gone.append(deployed.pop(0))
            expect(client.delete(f"/processes/{gone[-1]}").status == 204, "no process was undeployed")
            server.kill()
            server.start()
        told_after_a_kill(server, client)
        dismissed_is_dismissed(server, client)
        print(f"{len(jobs)} jobs were answered for over {rounds} kills; all were found and ended")


def told_after_a_kill(server, client):
    """A subscriber is told of a job that ended after the kill."""
    with Listener("127.0.0.1") as listener:
        body = {"subscriber": {"successUri": f"{listener.url}/success"}, "response": "document"}
        job = client.start("echo", {"echoInput": "x", "pause": 1}, **body)
        server.kill()
        server.start()
        client.wait(job)
        listener.next_json("/success")


def dismissed_is_dismissed(server, client):
    job = client.start("echo", {"echoInput": "x", "pause": 60})
    expect(client.delete(f"/jobs/{job}").status == 200, "no job was dismissed")
    server.kill()
    server.start()
    expect(client.wait(job, "dismissed")["status"] == "dismissed", "a dismissed job runs again")


if __name__ == "__main__":
    main()
