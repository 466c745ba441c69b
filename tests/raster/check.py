"""All comparisons: `check.py WEIR_EO [WORD ...]`. See `run`."""
import contextlib
import json
import logging
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings

import compare
import oracle
import pystac
import rasterio
import scenes
import serve

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

OLINDA = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "data", "olinda"))
OLINDA_AREA = "-34.905,-8.03,-34.83,-7.96"
# A damaged file must not ask for much memory, bytes of address space.
MEMORY = 2 << 30


class Tool:
    """Runs weir-eo with an empty environment but for what is given."""

    def __init__(self, binary):
        self.binary = binary

    def __call__(self, *arguments, folder, **env):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        return subprocess.run([self.binary, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=120,
                              preexec_fn=limit)

    def ok(self, *arguments, folder, **env):
        done = self(*arguments, folder=folder, **env)
        if done.returncode != 0:
            raise Different(f"{arguments[0]} ends with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


class Different(Exception):
    """A case failed; the text says how."""


def expect(condition, text):
    if not condition:
        raise Different(text)


def same(differences):
    for difference in differences:
        raise Different(difference)


def folder_in(root, *names):
    path = os.path.join(root, *names)
    os.makedirs(path, exist_ok=True)
    return path


def chain(tool, root, item, aoi, epsg):
    """All steps by oracle and tool; compares after each, and goes on from each side's own results."""
    a, b = folder_in(root, "oracle"), folder_in(root, "weir-eo")
    for band in ("green", "nir"):
        oracle.crop(item, aoi, epsg, band, a)
        tool.ok("crop", "--input-item", item, "--aoi", aoi, "--epsg", epsg, "--band", band, folder=b)
        same(compare.rasters(f"{a}/crop_{band}.tif", f"{b}/crop_{band}.tif"))
    oracle.normalized_difference(f"{a}/crop_green.tif", f"{a}/crop_nir.tif", a)
    tool.ok("normalized_difference", "crop_green.tif", "crop_nir.tif", folder=b)
    same(compare.rasters(f"{a}/norm_diff.tif", f"{b}/norm_diff.tif"))
    mask(tool, a, b, "crop_green.tif")
    try:
        expected = mask(tool, a, b, "norm_diff.tif")
    except IndexError:
        # The oracle dies of a raster without finite values; the tool must refuse it in words.
        done = tool("otsu", "norm_diff.tif", folder=b)
        expect(done.returncode == 1 and "no finite value" in done.stderr, f"{done.returncode}: {done.stderr}")
        return
    del expected
    oracle.stac(item, f"{a}/otsu.tif", a)
    tool.ok("stac", "--input-item", item, "--water-body", "otsu.tif", folder=b)
    same(compare.documents(a, b))


def mask(tool, a, b, raster):
    """otsu of a raster that both sides have, with its threshold and all overviews."""
    threshold, kind = oracle.otsu(f"{a}/{raster}", a)
    printed = tool.ok("otsu", raster, "--print-threshold", folder=b).strip()
    expect(printed == f"threshold {threshold!r} {kind}", f"{printed}, but the oracle's is {threshold!r} {kind}")
    same(compare.rasters(f"{a}/otsu.tif", f"{b}/otsu.tif", overviews=True))


def bundled(tool, root):
    for scene in ("L7_OLINDA_NORTH", "L7_OLINDA_SOUTH"):
        item = os.path.join(OLINDA, scene, f"{scene}.json")
        yield f"bundled {scene}", lambda item=item, scene=scene: chain(tool, folder_in(root, scene), item, OLINDA_AREA, "EPSG:4326")


def odd_scenes(tool, root):
    for name in scenes.SCENES:
        def case(name=name):
            place = folder_in(root, "scenes")
            item, aoi, epsg = scenes.make(place, name)
            chain(tool, os.path.join(place, name), item, aoi, epsg)
            shutil.rmtree(os.path.join(place, name))
        yield f"scene {name}", case


def compressions(tool, root):
    for compress in ("deflate", "lzw", "zstd"):
        def case(compress=compress):
            place = folder_in(root, f"compress-{compress}")
            item, aoi, epsg = scenes.make(place, "three_bands_chunky")
            for band in ("green", "nir"):
                oracle.crop(item, aoi, epsg, band, place)
                os.rename(f"{place}/crop_{band}.tif", f"{place}/expected_{band}.tif")
                tool.ok("crop", "--input-item", item, "--aoi", aoi, "--epsg", epsg, "--band", band, "--compress", compress, folder=place)
                same(compare.rasters(f"{place}/expected_{band}.tif", f"{place}/crop_{band}.tif"))
                with rasterio.open(f"{place}/crop_{band}.tif") as raster:
                    expect(raster.profile["compress"] == compress, f"{raster.profile['compress']} was written")
        yield f"result compressed by {compress}", case


def served(tool, root, server):
    """The same bytes whatever way they come."""
    place = folder_in(server.root, "served")
    crop = lambda item, folder, **env: tool.ok(
        "crop", "--input-item", item, "--aoi", scenes.INSIDE, "--epsg", "EPSG:32610", "--band", "green", folder=folder, **env)

    def case(address, **env):
        if not os.path.exists(f"{place}/uint16_deflate_2"):
            item, _, _ = scenes.make(place, "uint16_deflate_2")
            crop(item, folder_in(root, "expected"))
        got = folder_in(root, "got")
        crop(address, got, **env)
        with open(f"{root}/expected/crop_green.tif", "rb") as a, open(f"{got}/crop_green.tif", "rb") as b:
            expect(a.read() == b.read(), "the result differs from that of the local file")

    path = "served/uint16_deflate_2/uint16_deflate_2.json"
    for habit in ("files", "redirect", "flaky", "plain"):
        yield f"http {habit}", lambda habit=habit: case(server.url(habit, path))
    yield "http by the name localhost", lambda: case(server.url("files", path, host="localhost"))
    yield "file: address", lambda: case(f"file://{server.root}/{path}")

    def few_requests():
        server.requests.clear()
        case(server.url("files", path))
        expect(server.requests["files"] <= 4, f"{server.requests['files']} requests for an item and a small raster")
    yield "http ranges are joined", few_requests

    def redirect_once():
        server.requests.clear()
        case(server.url("redirect", path))
        expect(server.requests["redirect"] == 1 + 1, f"{server.requests['redirect']} redirects were asked for")
    yield "http redirects are resolved once", redirect_once

    for habit, words in (("lying", "were asked"), ("gzip", "encoding gzip")):
        def refused(habit=habit, words=words):
            item = scenes.item(place, f"by_{habit}", {"green": server.url(habit, "served/uint16_deflate_2/green.tif")})
            fails(tool, root, 1, words, "crop", "--input-item", item, "--aoi", scenes.INSIDE, "--epsg", "EPSG:32610", "--band", "green")
        yield f"http {habit} is refused", refused

    def from_s3():
        for name in ("uint16_deflate_2.json", "green.tif", "nir.tif"):
            with open(f"{place}/uint16_deflate_2/{name}", "rb") as file:
                server.objects[f"scenes/a b/{name}"] = (file.read(), "")
        case("s3://scenes/a b/uint16_deflate_2.json", **s3_env(server))
    yield "s3 with signed ranges", from_s3


def s3_env(server):
    return {"AWS_ACCESS_KEY_ID": serve.KEY_ID, "AWS_SECRET_ACCESS_KEY": serve.SECRET, "AWS_REGION": serve.REGION,
            "AWS_S3_ENDPOINT": server.url("s3")}


def fails(tool, root, code, words, *arguments, **env):
    """One line on stderr with these words, this exit code, and no result left behind."""
    place = tempfile.mkdtemp(dir=root)
    done = tool(*arguments, folder=place, **env)
    lines = done.stderr.strip().splitlines()
    expect(done.returncode == code, f"ends with {done.returncode}, not {code}: {done.stderr.strip()}")
    expect(len(lines) == 1, f"says {len(lines)} lines: {lines}")
    expect(words in lines[0], f"says {lines[0]!r}, which lacks {words!r}")
    expect(not any(n.endswith((".tif", ".part")) for _, _, ns in os.walk(place) for n in ns), "left a result behind")


def bad_input(tool, root, server):
    place = folder_in(server.root, "bad")
    good = os.path.join(OLINDA, "L7_OLINDA_NORTH", "L7_OLINDA_NORTH.json")
    crop = lambda item=good, aoi=OLINDA_AREA, epsg="EPSG:4326", band="green": (
        "crop", "--input-item", item, "--aoi", aoi, "--epsg", epsg, "--band", band)

    def text(name, content):
        with open(os.path.join(place, name), "w") as file:
            file.write(content)
        return os.path.join(place, name)

    def raster(name, values=None, **creation):
        path = os.path.join(place, f"{name}.tif")
        scenes.write(path, scenes.bands(100, 100, "uint16", 1, 0)[0] if values is None else values, 0, **creation)
        return path

    def of(path):
        return scenes.item(place, os.path.basename(path) + "_item", {"green": path})

    def truncated():
        path = raster("truncated")
        os.truncate(path, os.path.getsize(path) * 2 // 3)
        return crop(of(path), scenes.area(0, 100, 100, 0), "EPSG:32610")

    def rotated():
        from affine import Affine
        path = raster("rotated")
        with rasterio.open(path, "r+") as r:
            r.transform = r.transform * Affine.rotation(20)
        return crop(of(path), scenes.area(0, 100, 100, 0), "EPSG:32610")

    other = scenes.bands(90, 100, "uint16", 2, 0)[1]
    for name, code, words, arguments in (
        ("item not found", 1, "HTTP 404", lambda: crop(server.url("files", "none"))),
        ("no such file", 1, "No such file", lambda: crop("/nowhere/item.json")),
        ("no server", 1, "refused", lambda: crop("http://127.0.0.1:1/item")),
        ("unknown scheme", 1, "gs:", lambda: crop("gs://bucket/item.json")),
        ("not JSON", 1, "not a JSON document", lambda: crop(text("page.html", "<html>"))),
        ("not an item", 1, "not a STAC item", lambda: crop(text("x.json", '{"type": "Catalog", "stac_version": "1.0.0"}'))),
        ("an id that leaves the folder", 1, "cannot name a folder", lambda: crop(text("id.json", json.dumps(
            {"type": "Feature", "stac_version": "1.0.0", "id": "../../x", "assets": {}})))),
        ("band missing", 1, "there are: blue, green, red, nir, swir16, swir22", lambda: crop(band="pan")),
        ("no overlap", 1, "does not overlap", lambda: crop(aoi="1,2,3,4")),
        ("area of three numbers", 2, "minx,miny,maxx,maxy", lambda: crop(aoi="1,2,3")),
        ("area of words", 2, "minx,miny,maxx,maxy", lambda: crop(aoi="a,b,c,d")),
        ("area missing", 2, "--aoi", lambda: ("crop", "--input-item", good, "--band", "green")),
        ("no EPSG code", 1, "`here` is no EPSG code", lambda: crop(epsg="here")),
        ("unknown EPSG code", 1, "EPSG:99999 is not known", lambda: crop(epsg="EPSG:99999")),
        ("area beyond the pole", 1, "no coordinates in", lambda: crop(aoi="0,91,1,92")),
        ("not a TIFF", 1, "not a readable TIFF", lambda: ("otsu", text("no.tif", "just text, no pixels"))),
        ("empty file", 1, "0 bytes", lambda: ("otsu", text("empty.tif", ""))),
        ("truncated TIFF", 1, "truncated", truncated),
        ("rotated raster", 1, "rotated", rotated),
        ("JPEG tiles", 1, "compression is JPEG", lambda: ("otsu", raster("jpeg", scenes.bands(100, 100, "uint8", 1, 0)[0], compress="jpeg"))),
        ("alpha band", 1, "alpha", lambda: crop(of(raster("alpha", count=2, ALPHA="YES", interleave="pixel")), scenes.area(0, 100, 100, 0), "EPSG:32610")),
        ("grids of different size", 1, "not on the same grid", lambda: ("normalized_difference", raster("a"), raster("b", other))),
        ("items without masks", 2, "--water-body", lambda: ("stac", "--input-item", good, "--input-item", good, "--water-body", "m.tif")),
        ("no step", 2, "weir-eo", lambda: ("polish",)),
        ("stage_out of nothing", 1, "No such file", lambda: ("stage_out", "/nowhere", "--to", ".", "--id", "j")),
        ("stage_out with a bad id", 2, "cannot name results", lambda: ("stage_out", place, "--to", ".", "--id", "../j")),
    ):
        yield f"bad input: {name}", lambda a=arguments, c=code, w=words: fails(tool, root, c, w, *a())


def damage(tool, root):
    """Bytes flipped and files cut short: a result or one line, never a crash, within the memory limit."""
    for name in ("uint16_deflate_2", "float32_lzw_3", "uint8_zstd_2", "int16_none_1", "bigtiff", "big_endian", "strips"):
        def case(name=name):
            place = folder_in(root, "damage", name)
            scenes.make(place, name)
            with open(f"{place}/{name}/green.tif", "rb") as file:
                whole = file.read()
            rng = random.Random(name)
            for attempt in range(40):
                damaged = bytearray(whole)
                if attempt % 4 == 3:
                    del damaged[rng.randrange(len(damaged)):]
                else:
                    # Mostly near the directories, where damage is worst.
                    for _ in range(rng.choice((1, 3, 20))):
                        damaged[rng.randrange(min(len(damaged), rng.choice((16, 700, len(damaged)))))] = rng.randrange(256)
                with open(f"{place}/damaged.tif", "wb") as file:
                    file.write(damaged)
                done = tool("otsu", "damaged.tif", folder=place)
                lines = done.stderr.strip().splitlines()
                expect(done.returncode in (0, 1) and len(lines) == done.returncode, f"attempt {attempt}: {done.returncode} {lines}")
        yield f"damage to {name}", case


def staging(tool, root, server):
    item = os.path.join(OLINDA, "L7_OLINDA_NORTH", "L7_OLINDA_NORTH.json")

    def staged():
        place = folder_in(root, "staged")
        tool.ok("stage_in", item, folder=place)
        catalog = pystac.Catalog.from_file(f"{place}/catalog.json")
        found = next(iter(catalog.get_items()))
        expect(catalog.id == "catalog" and found.id == "L7_OLINDA_NORTH" and len(found.assets) == 6, "pystac reads another catalog")
        for asset in found.assets.values():
            with rasterio.open(asset.get_absolute_href()) as raster:
                expect(raster.width == 349, "an asset is not the scene's")
        chain(tool, folder_in(root, "from-staged"), place, OLINDA_AREA, "EPSG:4326")
    yield "stage_in, then all steps from the folder", staged

    def results():
        place = folder_in(root, "results")
        for scene in ("NORTH", "SOUTH"):
            source = os.path.join(OLINDA, f"L7_OLINDA_{scene}", f"L7_OLINDA_{scene}.json")
            work = folder_in(place, scene)
            for band in ("green", "nir"):
                tool.ok("crop", "--input-item", source, "--aoi", OLINDA_AREA, "--band", band, folder=work)
            tool.ok("normalized_difference", "crop_green.tif", "crop_nir.tif", folder=work)
            tool.ok("otsu", "norm_diff.tif", folder=work)
        out = folder_in(place, "out")
        tool.ok("stac", "--input-item", item, "--input-item", item.replace("NORTH", "SOUTH"), "--water-body", "../NORTH/otsu.tif",
                "--water-body", "../SOUTH/otsu.tif", folder=out)
        return place, out

    def check_catalog(url, job):
        catalog = pystac.Catalog.from_file(url)
        collection = next(iter(catalog.get_children()))
        expect(collection.id == job and collection.title == "Processing results", "the collection is another one")
        items = list(collection.get_items())
        expect([i.id for i in items] == ["L7_OLINDA_NORTH", "L7_OLINDA_SOUTH"], f"the items are {[i.id for i in items]}")
        west, south, east, north = collection.extent.spatial.bboxes[0]
        expect(all(west <= i.bbox[0] and i.bbox[2] <= east and south <= i.bbox[1] and i.bbox[3] <= north for i in items), "the extent is too small")
        return items

    def to_folder():
        place, out = results()
        job = "68046976-7dcb-11f0-90ac-2a20aea25780"
        for _ in range(2):
            printed = tool.ok("stage_out", out, "--to", "published", "--id", job, "--owner", "me", folder=place).splitlines()[-1]
        expect(printed == f"file://{place}/published/{job}/catalog.json", printed)
        for found in check_catalog(printed.removeprefix("file://"), job):
            with rasterio.open(found.assets["data"].get_absolute_href()) as raster:
                expect(raster.count == 1 and raster.dtypes[0] == "uint8", "the asset is not the mask")
            expect([link.rel for link in found.links] == ["collection", "root", "self", "parent"] or
                   {link.rel for link in found.links} >= {"collection", "root", "parent"}, "links are missing")
        fails(tool, root, 1, "belongs to another owner", "stage_out", out, "--to", f"{place}/published", "--id", job, "--owner", "you")
    yield "stage_out to a folder", to_folder

    def to_s3(conditional):
        place, out = results()
        server.objects.clear()
        server.conditional = conditional
        for _ in range(2):
            printed = tool.ok("stage_out", out, "results", "job-1", folder=place, **s3_env(server)).splitlines()[-1]
        expect(printed == "s3://results/job-1/catalog.json", printed)
        keys = list(server.objects)
        expect(keys[0] == "results/job-1/.weir-owner" and keys[-1] == "results/job-1/catalog.json", f"the order was {keys}")
        name = "results/job-1/job-1/L7_OLINDA_NORTH/L7_OLINDA_NORTH.json"
        document = json.loads(server.objects[name][0])
        expect(document["assets"]["data"]["href"] == "s3://results/job-1/job-1/L7_OLINDA_NORTH/otsu.tif", "the asset's address is another")
        expect([link["rel"] for link in document["links"]] == ["collection", "root", "self", "parent"], "the links are others")
        expect(server.objects[name][1] == "application/geo+json", "the content type is another")
        fails(tool, root, 1, "belongs to another owner", "stage_out", out, "--to", "s3://results", "--id", "job-1", "--owner", "you", **s3_env(server))
    yield "stage_out to a bucket", lambda: to_s3(True)
    yield "stage_out to a bucket that knows no conditions", lambda: to_s3(False)

    def wrong_key():
        _, out = results()
        env = {**s3_env(server), "AWS_SECRET_ACCESS_KEY": "wrong"}
        fails(tool, root, 1, "HTTP 403", "stage_out", out, "--to", "s3://results", "--id", "job-2", **env)
    yield "stage_out with a wrong key", wrong_key


def full_disk(tool, root):
    def case():
        # A file-size limit stands in for a full disk; both fail in write(2).
        place = folder_in(root, "disk")
        item, aoi, epsg = scenes.make(place, "uint16_deflate_2")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        import signal
        ignore = lambda: (limit(), signal.signal(signal.SIGXFSZ, signal.SIG_IGN))
        done = subprocess.run([tool.binary, "crop", "--input-item", item, "--aoi", aoi, "--epsg", epsg, "--band", "green"], cwd=place,
                              env={}, capture_output=True, text=True, preexec_fn=ignore, restore_signals=False)
        expect(done.returncode == 1 and done.stderr.startswith("weir-eo: cannot write crop_green.tif: "), f"{done.returncode}: {done.stderr}")
        expect(not os.path.exists(f"{place}/crop_green.tif") and not os.path.exists(f"{place}/crop_green.tif.part"), "a part is left")
    yield "disk full", case


def main():
    tool, words = Tool(sys.argv[1]), sys.argv[2:]
    started, failed, count = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="weir-raster-") as root:
        root = os.path.realpath(root)
        server = serve.Server(folder_in(root, "www"))
        for group in (bundled(tool, root), odd_scenes(tool, root), compressions(tool, root), served(tool, root, server),
                      bad_input(tool, root, server), damage(tool, root), staging(tool, root, server), full_disk(tool, root)):
            for name, case in group:
                if words and not any(word in name for word in words):
                    continue
                count += 1
                begun = time.monotonic()
                try:
                    case()
                    print(f"same       {name}", flush=True)
                except Exception as error:
                    failed += 1
                    kind = "" if isinstance(error, Different) else f"{type(error).__name__}: "
                    print(f"DIFFERENT  {name} ({time.monotonic() - begun:.1f} s): {kind}{error}", flush=True)
    print(f"{count - failed} of {count} cases are the same, {time.monotonic() - started:.0f} s")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
