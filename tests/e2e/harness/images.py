"""Images for the nodes: built here, loaded into the own cluster or by $WEIR_LOAD_IMAGE."""
import os
import pathlib
import shlex
import shutil
import tempfile

from .api import is_own_cluster
from .program import ROOT, run

# What the examples' tools are made of. A foreign cluster pulls it.
BUSYBOX = "docker.io/library/busybox:1.37"


def load_all(folder):
    """Builds weir's images into a folder and gives every node all that the tests need."""
    print(run(ROOT / "charts" / "images", folder, seconds=3600), end="", flush=True)
    archives = [folder / "weir.tar", folder / "weir-eo.tar"]
    if is_own_cluster():
        archives.append(busybox(folder))
    load(archives)


def load(archives):
    if is_own_cluster():
        run(ROOT / "tests" / "cluster" / "load", *archives)
        return
    command = shlex.split(os.environ["WEIR_LOAD_IMAGE"])
    for archive in archives:
        run(*command, archive)


def busybox(folder):
    """An image of this machine's busybox, by the name that the examples use."""
    archive = folder / "busybox.tar"
    with tempfile.TemporaryDirectory() as root:
        bin_folder = pathlib.Path(root, "bin")
        bin_folder.mkdir()
        shutil.copy("/bin/busybox", bin_folder)
        for name in run(bin_folder / "busybox", "--list").split():
            if name != "busybox":
                (bin_folder / name).symlink_to("busybox")
        pathlib.Path(root, "tmp").mkdir(mode=0o1777)
        run(ROOT / "tests" / "cluster" / "image", BUSYBOX, root, archive)
    return archive
