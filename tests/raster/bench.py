"""`bench.py WEIR_EO [SIDE]`: see `bench`."""
import os
import subprocess
import sys
import tempfile

AREA = "-121.399,39.834,-120.74,40.472"
STEPS = (
    ("crop green", "crop", "--input-item ITEM --aoi AREA --epsg EPSG:4326 --band green", "ITEM AREA EPSG:4326 green"),
    ("crop nir", "crop", "--input-item ITEM --aoi AREA --epsg EPSG:4326 --band nir", "ITEM AREA EPSG:4326 nir"),
    ("normalized difference", "normalized_difference", "crop_green.tif crop_nir.tif", "crop_green.tif crop_nir.tif"),
    ("otsu", "otsu", "norm_diff.tif", "norm_diff.tif"),
    ("stac", "stac", "--input-item ITEM --water-body otsu.tif", "ITEM otsu.tif"),
)


def run(command, folder):
    """CPU seconds and peak resident bytes of one process."""
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def main():
    binary, side = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10980
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir", f"raster-scene-{side}")
    here = os.path.dirname(os.path.realpath(__file__))
    # In a process of its own: Linux counts what a parent holds when it starts a child as the child's peak.
    make = "import sys, scenes; print(scenes.large(sys.argv[1], int(sys.argv[2])))"
    item = subprocess.check_output([sys.executable, "-c", make, cache, str(side)], cwd=here, text=True).strip()
    oracle = os.path.join(here, "oracle.py")
    fill = lambda words: [{"ITEM": item, "AREA": AREA}.get(w, w) for w in words.split()]
    totals, peaks = [0.0, 0.0], [0, 0]
    print(f"{'step':<22}{'oracle CPU':>12}{'weir-eo CPU':>13}{'ratio':>8}{'oracle peak':>14}{'weir-eo peak':>14}")
    with tempfile.TemporaryDirectory(prefix="weir-raster-bench-") as root:
        for kind in ("oracle", "weir-eo"):
            os.makedirs(os.path.join(root, kind))
        for label, step, arguments, positional in STEPS:
            a = run([sys.executable, oracle, step, *fill(positional)], os.path.join(root, "oracle"))
            b = run([binary, step, *fill(arguments)], os.path.join(root, "weir-eo"))
            for i, (cpu, peak) in enumerate((a, b)):
                totals[i] += cpu
                peaks[i] = max(peaks[i], peak)
            print(f"{label:<22}{a[0]:>10.2f} s{b[0]:>11.2f} s{a[0] / max(b[0], 0.01):>7.1f}x{a[1] / 1e6:>11.0f} MB{b[1] / 1e6:>11.0f} MB")
    print(f"{'total':<22}{totals[0]:>10.2f} s{totals[1]:>11.2f} s{totals[0] / totals[1]:>7.1f}x{peaks[0] / 1e6:>11.0f} MB{peaks[1] / 1e6:>11.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
