"""manifests/README.md, literally."""
import os
import pathlib
import shutil
import tempfile

from harness import release, transcript
from harness.api import is_own_cluster
from harness.case import LAST, Skipped, case
from harness.program import ROOT, kubectl

README = ROOT / "manifests" / "README.md"


@case(LAST)
def walk(api):
    """Every command of manifests/README.md does what the page shows, on a cluster without weir."""
    if not is_own_cluster():
        raise Skipped("the page names the scenes of the own cluster")
    if release.is_installed():
        release.uninstall()
    remove()
    try:
        return f"{perform()} commands"
    finally:
        # The page removes all that it made; a walk that stopped half way has not.
        remove()


def remove():
    release.remove_rest()
    kubectl("delete", "namespace", "ada", "--ignore-not-found", "--timeout=120s")


def perform():
    with tempfile.TemporaryDirectory() as folder:
        # The walk changes the current namespace: not ours.
        kubeconfig = pathlib.Path(folder, "kubeconfig")
        shutil.copy(os.environ["KUBECONFIG"], kubeconfig)
        blocks = transcript.parse(README.read_text())
        for command in blocks:
            transcript.perform(command, ROOT, os.environ | {"KUBECONFIG": str(kubeconfig)})
    return len(blocks)
