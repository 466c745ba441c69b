"""A way to a port within the cluster."""
import subprocess


class Forward:
    """`kubectl port-forward` to a pod or a Service: `host` is its near end, as long as the block lasts."""

    def __init__(self, target, port, namespace):
        self.forward = ["kubectl", "--namespace", namespace, "port-forward", target, f":{port}"]

    def __enter__(self):
        self.process = subprocess.Popen(self.forward, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 9000
        if "127.0.0.1:" not in line:
            self.process.kill()
            raise RuntimeError(f"no port-forward: {line}{self.process.stderr.read()}")
        self.host = line.split()[2]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()
        self.process.stderr.close()
