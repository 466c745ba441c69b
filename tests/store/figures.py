"""Requests a second of `weir store`: presigned requests over kept connections. tests/store/bench WEIR [DIR]."""

import os
import socket
import sys
import tempfile
import threading
import time
import urllib.parse

from clients import Store

SECONDS = 4


def prepared(url, method, body, extra=""):
    parts = urllib.parse.urlsplit(url)
    head = f"{method} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return parts, head.encode() + body


def answer(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, rest = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(rest) < length:
        rest += connection.recv(1 << 20)
    return int(head[9:12])


def rate(requests, threads):
    """Requests a second, median and 99th percentile of their time in milliseconds."""
    times, lock = [], threading.Lock()

    def work(mine):
        parts = mine[0][0]
        connection = socket.create_connection((parts.hostname, parts.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own, end, index = [], time.perf_counter() + SECONDS, 0
        while time.perf_counter() < end:
            begun = time.perf_counter()
            connection.sendall(mine[index % len(mine)][1])
            status = answer(connection)
            assert status == 200, status
            own.append(time.perf_counter() - begun)
            index += 1
        with lock:
            times.extend(own)
    workers = [threading.Thread(target=work, args=(requests[n::threads],)) for n in range(threads)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    times.sort()
    return len(times) / SECONDS, times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3


def resident(process):
    with open(f"/proc/{process.pid}/status") as file:
        return {line.split(":")[0]: int(line.split()[1]) // 1024 for line in file if line.startswith(("VmRSS", "VmHWM"))}


def main():
    program = os.path.abspath(sys.argv[1])
    for fsync in (True, False):
        with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as directory:
            store = Store(program, directory, "--bucket", "weir", fsync=fsync)
            try:
                s3 = store.client()
                idle = resident(store.process)["VmRSS"]

                def sign(method, key):
                    return s3.generate_presigned_url(method, Params={"Bucket": "weir", "Key": key}, ExpiresIn=3600)
                keys = [f"acme/jobs/{n % 10}/journal/{n:010}" for n in range(400)]
                puts = [prepared(sign("put_object", key), "PUT", b"x" * 1000) for key in keys]
                gets = [prepared(sign("get_object", key), "GET", b"") for key in keys]
                for threads in (1, 8):
                    for name, requests in (("put", puts), ("get", gets)):
                        # Every object exists before it is read.
                        if name == "get" and threads == 1:
                            [s3.put_object(Bucket="weir", Key=key, Body=b"x" * 1000) for key in keys]
                        count, median, worst = rate(requests, threads)
                        print(f"fsync {str(fsync).lower():5}  {threads} connections  {name} 1 kB  {count:6.0f}/s"
                              f"  median {median:.2f} ms  99% {worst:.2f} ms", flush=True)
                begun = time.perf_counter()
                listed = sum(len(page["Contents"]) for page in s3.get_paginator("list_objects_v2").paginate(Bucket="weir"))
                print(f"listing of {listed} objects {1e3 * (time.perf_counter() - begun):.0f} ms")
                body = os.urandom(64 << 20)
                begun = time.perf_counter()
                s3.put_object(Bucket="weir", Key="big", Body=body)
                middle = time.perf_counter()
                s3.get_object(Bucket="weir", Key="big")["Body"].read()
                print(f"64 MiB by boto3: put {64 / (middle - begun):.0f} MiB/s, get {64 / (time.perf_counter() - middle):.0f} MiB/s")
                memory = resident(store.process)
                print(f"resident: idle {idle} MiB, now {memory['VmRSS']} MiB, most {memory['VmHWM']} MiB")
            finally:
                store.kill()


if __name__ == "__main__":
    main()
