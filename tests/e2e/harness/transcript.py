"""Terminal sessions in a page of documentation, performed and compared.

A block marked `console` holds commands behind `$ `, their further lines behind `> `, and what they print. `…` stands for
any text within a line, alone on a line for any number of lines. Runs of blanks are alike. `^C` alone on a line: the
command goes on until it is interrupted, once it has printed all before. What prints an error line (`Error from server`)
may fail; all else must succeed.
"""
import dataclasses
import os
import re
import signal
import subprocess
import time

# Seconds that a command may run.
SECONDS = 360

INTERRUPT = "^C"


@dataclasses.dataclass
class Command:
    """A command, where it stands, and what it prints."""

    line: int
    text: str
    expected: list[str]


def parse(page):
    """All commands of a page, in order."""
    commands, inside = [], False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif not inside:
            continue
        elif line.startswith("$ "):
            commands.append(Command(number, line[2:], []))
        elif line.startswith("> ") and commands and not commands[-1].expected:
            commands[-1].text += "\n" + line[2:]
        elif commands:
            commands[-1].expected.append(line)
        else:
            raise ValueError(f"line {number}: output without a command")
    return commands


def pattern(expected):
    """What the output must match as a whole, blanks made equal."""
    parts = []
    for line in expected:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            words = r"[ \t]+".join(word_pattern(word) for word in line.split())
            parts.append(r"[ \t]*" + words + r"[ \t]*\n")
    return re.compile("".join(parts))


def word_pattern(word):
    return ".*".join(re.escape(part) for part in word.split("…"))


def perform(command, folder, environment):
    """Runs a command in a shell and compares. The complaint shows both texts."""
    expected = command.expected
    until_interrupted = bool(expected) and expected[-1] == INTERRUPT
    if until_interrupted:
        output = interrupted(command, pattern(expected[:-1]), folder, environment)
        if output is None:
            return
        complain(command, output, f"not within {SECONDS} s")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command.text], cwd=folder, env=environment, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    may_fail = any(line.startswith("Error") for line in expected)
    if done.returncode and not may_fail:
        complain(command, done.stdout, f"it ended with {done.returncode}")
    output = done.stdout if done.stdout.endswith("\n") or not done.stdout else done.stdout + "\n"
    if not pattern(expected).fullmatch(output):
        complain(command, done.stdout, "it printed something else")


def interrupted(command, wanted, folder, environment):
    """Runs a command until it has printed what is wanted, then presses Ctrl-C. The output if it never does."""
    process = subprocess.Popen(["bash", "-c", command.text], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    os.set_blocking(process.stdout.fileno(), False)
    output, deadline = b"", time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            output += process.stdout.read() or b""
            whole_lines = output[: output.rfind(b"\n") + 1].decode(errors="replace")
            if wanted.fullmatch(whole_lines):
                return None
            if process.poll() is not None:
                # It ended by itself: what is left in the pipe counts too.
                output += process.stdout.read() or b""
                text = output.decode(errors="replace")
                return None if wanted.fullmatch(text) else text
            time.sleep(0.05)
        return output.decode(errors="replace")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def complain(command, output, what):
    shown = "\n".join(command.expected)
    raise AssertionError(f"line {command.line}: `{command.text}`: {what}\n--- the page shows\n{shown}\n--- it printed\n{output}")
