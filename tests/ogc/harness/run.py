"""Starts the server, runs the parts one after the other, stops it: run.py WEIR [PART…], by tests/ogc/run."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from harness import scenes  # noqa: E402
from harness.server import Server  # noqa: E402

# Unfinished jobs of one tenant: few, so that the test of more is short.
QUEUE = "200"

PARTS = ["seeds", "notebook", "clients", "requirements", "tenants", "fuzz", "crash"]


def command(part, server):
    base = server.base()
    return {
        "seeds": [HERE / "seeds.sh", base],
        # A tenant of its own: jobs that others let fail are answered 500, as they should be.
        "fuzz": [sys.executable, HERE / "fuzz", server.base("fuzzed")],
        "crash": [sys.executable, HERE / "crash.py", server.program],
    }.get(part, [sys.executable, HERE / f"{part}.py", base])


def main():
    program, parts = sys.argv[1], sys.argv[2:] or PARTS
    if not set(parts) <= set(PARTS):
        sys.exit(f"there is no part {set(parts) - set(PARTS)}; there are {' '.join(PARTS)}")
    failed = []
    with (tempfile.TemporaryDirectory() as folder,
          Server(program, pathlib.Path(folder, "data"), "--queue", QUEUE) as server):
        data = scenes.serve(HERE.parent / "data", "127.0.0.1")
        environment = os.environ | server.environment()
        environment |= {"WEIR_DATA_URL": data, "WEIR_QUEUE": QUEUE, "PYTHON": sys.executable}
        for part in parts:
            print(f"\n== {part}", flush=True)
            started = time.monotonic()
            if subprocess.run(command(part, server), env=environment).returncode:
                failed.append(part)
            print(f"== {part}: {'FAILED' if part in failed else 'passed'} in {time.monotonic() - started:.1f} s", flush=True)
            if server.process.poll() is not None:
                sys.exit(f"the server ended during {part}:\n{server.log.read_text()[-5000:]}")
        errors = [line for line in server.log.read_text().splitlines() if " ERROR " in line or "panicked" in line]
        print(f"\nmemory of the server: {server.memory() >> 20} MiB")
    for line in errors[:20]:
        print(line)
    if failed or errors:
        sys.exit(f"failed: {' '.join(failed) or 'the log of the server has errors'}")


if __name__ == "__main__":
    main()
