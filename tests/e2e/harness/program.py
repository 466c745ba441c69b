"""Programs that the tests call: kubectl, helm, scripts of the repository."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[3]

# Seconds that a program may run.
SECONDS = 600


class ProgramError(Exception):
    """A program ended with another code than 0."""


def run(*command, stdin=None, seconds=SECONDS, env=None):
    """What a program prints. Its standard error is part of the complaint if it fails."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, timeout=seconds,
                          cwd=ROOT, env=os.environ | (env or {}))
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise ProgramError(f"`{words}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def kubectl(*arguments, **options):
    return run("kubectl", *arguments, **options)


def helm(*arguments, **options):
    return run("helm", *arguments, **options)
