"""What schemathesis is told beside the definition: names that exist, and addresses that are on loopback."""
import os
import zlib

import schemathesis

KNOWN = {
    "processID": [os.environ["WEIR_FUZZ_PROCESS"], "echo"],
    "jobID": os.environ["WEIR_FUZZ_JOBS"].split(","),
    "outputID": ["echoInput"],
}
DOOMED = {"processID": os.environ["WEIR_FUZZ_DOOMED_PROCESSES"].split(","), "jobID": os.environ["WEIR_FUZZ_DOOMED"].split(",")}
NOWHERE = os.environ["WEIR_FUZZ_NOWHERE"]


def once_in(number, value):
    """The same for the same value, so that a seed gives the same run."""
    return zlib.crc32(repr(value).encode()) % number == 0


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Two of three names exist."""
    deletes = context.operation is not None and context.operation.method.upper() == "DELETE"
    for name in list(path_parameters or {}):
        if name in KNOWN and not once_in(3, path_parameters[name]):
            known = (DOOMED if deletes else KNOWN)[name]
            path_parameters[name] = known[zlib.crc32(repr(path_parameters[name]).encode()) % len(known)]
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """No pauses, and nothing that leads away from this machine."""
    if isinstance(body, dict):
        if context.operation is not None and context.operation.path.endswith("/execution") and once_in(2, body):
            body["inputs"] = {"echoInput": "x", "text": "x"} if once_in(4, body) else {"echoInput": "x"}
        body = calmed(body)
    return body


def calmed(value):
    if isinstance(value, dict):
        return {name: calm(name, part) for name, part in value.items()}
    if isinstance(value, list):
        return [calmed(part) for part in value]
    return value


def calm(name, value):
    if name == "pause":
        return 0
    if name in ("href", "successUri", "successUrl", "inProgressUri", "failedUri") and isinstance(value, str):
        return NOWHERE if value.startswith("http") else value
    return calmed(value)
