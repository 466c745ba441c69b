"""Small odd scenes: every sample type, compression, predictor and layout, with the areas that are hard to cut out.

Each scene is two rasters, green and nir, and a STAC item. Pixels are seeded: land, lakes, a void corner, noise.
"""
import json
import os

import numpy as np
import rasterio
from rasterio.transform import from_origin

ORIGIN, PIXEL, EPSG = (636985.0, 4425005.0), 30.0, 32610


def field(width, height, seed):
    """A smooth random surface with mean 0 and deviation of about 1."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for n, weight in ((4, 1.0), (11, 0.5), (37, 0.2)):
        grid = rng.standard_normal((n + 1, n + 1))
        y, x = np.linspace(0, n, height), np.linspace(0, n, width)
        i, j = np.minimum(y.astype(int), n - 1), np.minimum(x.astype(int), n - 1)
        fy, fx = (y - i)[:, None], (x - j)[None, :]
        rows = lambda k: grid[k][:, j] * (1 - fx) + grid[k][:, j + 1] * fx
        total += weight * (rows(i) * (1 - fy) + rows(i + 1) * fy)
    return total


def bands(width, height, dtype, seed, void):
    """Green and nir of one type; `void` (or None) fills a corner and scattered pixels."""
    rng = np.random.default_rng(seed)
    water = field(width, height, seed) < -0.4
    low, high, scale = {"uint8": (60, 140, 1), "int8": (20, 90, 0.5)}.get(dtype, (700, 2600, 15))
    out = []
    for wet, dry in ((low * 1.2, low), (low * 0.5, high)):
        values = np.where(water, wet, dry) + scale * 6 * rng.standard_normal((height, width))
        if dtype in ("int16", "int32", "float32", "float64"):
            values -= low * 0.55  # some are negative
        if np.dtype(dtype).kind in "iu":
            info = np.iinfo(dtype)
            values = np.clip(np.rint(values), info.min, info.max)
        values = values.astype(dtype)
        if void is not None:
            values[: height // 5, : width // 3] = void
            values[rng.random((height, width)) < 0.01] = void
        out.append(values)
    return out


def write(path, values, nodata, count=1, point=False, sparse=False, **creation):
    height, width = values.shape
    creation = {"tiled": True, "blockxsize": 64, "blockysize": 64, **creation}
    if not creation["tiled"]:
        del creation["blockxsize"]
    with rasterio.open(path, "w", driver="GTiff", width=width, height=height, count=count, dtype=values.dtype,
                       crs=f"EPSG:{EPSG}", transform=from_origin(*ORIGIN, PIXEL, PIXEL), nodata=nodata,
                       **({"SPARSE_OK": True} if sparse else {}), **creation) as out:
        if point:
            out.update_tags(AREA_OR_POINT="Point")
        for band in range(1, count + 1):
            if sparse:
                # Whole tiles on both sides are never written.
                out.write(values[64:128, 64:256], band, window=((64, 128), (64, 256)))
            else:
                out.write(np.roll(values, band - 1, axis=1), band)


def item(folder, name, assets, datetime="2023-12-01T18:39:41.392050Z"):
    """Writes an item with assets {common name: file name beside it, path or URL}; gives its path."""
    document = {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "geometry": None,
        "properties": {"datetime": datetime}, "links": [],
        "assets": {key: {"href": href if "/" in href else f"./{href}", "roles": ["data"], "eo:bands": [{"name": key, "common_name": key}]}
                   for key, href in assets.items()},
    }
    path = os.path.join(folder, f"{name}.json")
    with open(path, "w") as out:
        json.dump(document, out)
    return path


def area(west, south, east, north):
    """An area in pixels of the grid, as coordinates: x to the right, y down from the upper left corner."""
    return ",".join(repr(v) for v in (ORIGIN[0] + west * PIXEL, ORIGIN[1] - south * PIXEL,
                                      ORIGIN[0] + east * PIXEL, ORIGIN[1] - north * PIXEL))


INSIDE = area(20.3, 150.2, 230.8, 17.6)
DEGREES = "-121.40,39.90,-121.32,39.96"

# Name -> type, nodata, void, size, area, how it is written.
SCENES = {}


def scene(name, dtype="uint16", nodata=0, void=0, size=(260, 190), aoi=INSIDE, epsg=f"EPSG:{EPSG}", **creation):
    SCENES[name] = {"dtype": dtype, "nodata": nodata, "void": void, "size": size, "aoi": aoi, "epsg": epsg, "creation": creation}


for compress in (None, "deflate", "lzw", "zstd"):
    for dtype in ("uint8", "int16", "uint16", "float32"):
        for predictor in (1,) if compress is None else (1, 2, 3) if dtype == "float32" else (1, 2):
            scene(f"{dtype}_{compress or 'none'}_{predictor}", dtype, compress=compress, predictor=predictor)
scene("int8", "int8", compress="deflate", predictor=2)
scene("uint32", "uint32", compress="lzw", predictor=2)
scene("int32", "int32", compress="zstd", predictor=2)
scene("float64", "float64", compress="deflate", predictor=3)
scene("float32_nan", "float32", nodata=float("nan"), void=float("nan"), compress="deflate", predictor=3)
scene("float32_void_without_nodata", "float32", nodata=None, void=float("nan"))
scene("float32_lowest", "float32", nodata=-9999.0, void=-9999.0, compress="lzw")
scene("int16_lowest", "int16", nodata=-32768, void=-32768, compress="deflate")
scene("uint8_255", "uint8", nodata=255, void=255, compress="deflate")
scene("uint16_65535", "uint16", nodata=65535, void=65535)
scene("uint16_1", "uint16", nodata=1, void=1)
scene("no_nodata", nodata=None, void=None, compress="deflate")
scene("no_nodata_zeros", nodata=None, void=0, compress="deflate")
scene("strips", tiled=False, blockysize=7, compress="lzw", predictor=2)
scene("one_strip", tiled=False, blockysize=190, compress="deflate")
scene("raw_strip", tiled=False, blockysize=190)
scene("row_strips", tiled=False, blockysize=1, compress="zstd")
scene("three_bands_chunky", count=3, interleave="pixel", compress="deflate", predictor=2)
scene("three_bands_planar", count=3, interleave="band", compress="lzw", predictor=2)
scene("float_bands_chunky", "float32", count=2, interleave="pixel", compress="zstd", predictor=3)
scene("bands_without_nodata", nodata=None, void=None, count=2, interleave="pixel")
scene("point", point=True, compress="deflate")
scene("sparse", sparse=True, compress="deflate", aoi=area(3, 180, 258, 2))
scene("sparse_nodata_7", sparse=True, nodata=7, compress="lzw", aoi=area(3, 180, 258, 2))
scene("bigtiff", BIGTIFF="YES", compress="deflate", predictor=2)
scene("bigtiff_strips", BIGTIFF="YES", tiled=False, blockysize=16)
scene("big_endian", ENDIANNESS="BIG", compress="deflate", predictor=2)
scene("big_endian_float", "float32", ENDIANNESS="BIG", compress="lzw", predictor=3)
scene("big_endian_raw", "int16", ENDIANNESS="BIG")
scene("big_endian_bigtiff", "float32", ENDIANNESS="BIG", BIGTIFF="YES", tiled=False, blockysize=9)
scene("tiles_512", blockxsize=512, blockysize=512, compress="deflate", predictor=2)
scene("narrow_tiles", blockxsize=16, blockysize=128, compress="zstd", predictor=2)
scene("area_in_degrees", aoi=DEGREES, epsg="EPSG:4326", compress="deflate")
scene("area_over_the_edge", aoi=area(-50, 300, 100.5, 100.5))
scene("area_around_all", aoi=area(-10, 300, 400, -10))
scene("area_is_the_raster", aoi=area(0, 190, 260, 0))
scene("area_on_centres", aoi=area(20.5, 100.5, 90.5, 30.5))
scene("area_of_one_pixel", aoi=area(200.2, 120.9, 200.9, 120.1))
scene("area_of_one_row", aoi=area(10, 120.9, 240, 120.2))
scene("area_turned_round", aoi=area(200, 20, 30, 150))
scene("one_overview", size=(700, 530), aoi=area(-1, 600, 800, -1), compress="deflate", blockxsize=256, blockysize=256)
scene("overviews_without_nodata", nodata=None, void=None, size=(1301, 1107), aoi=area(-1, 1200, 1400, -1), compress="lzw")
scene("overviews_with_nodata", size=(1301, 1107), aoi=area(-1, 1200, 1400, -1), compress="deflate")
scene("overviews_nodata_1", nodata=1, void=1, size=(1023, 1025), aoi=area(-1, 1200, 1400, -1))
scene("overviews_nodata_255", nodata=255, void=255, size=(1030, 777), aoi=area(-1, 1200, 1400, -1))
scene("overviews_of_bands", size=(1100, 600), count=2, interleave="pixel", aoi=area(-1, 1200, 1400, -1), compress="deflate")
scene("wide", size=(2600, 5), aoi=area(-1, 10, 2700, -1))
scene("tall", size=(41, 2300), aoi=area(-1, 2400, 50, -1), nodata=None, void=None)


def make(folder, name):
    """Writes a scene into a folder of its own; gives the item's path, the area and its system."""
    s = SCENES[name]
    place = os.path.join(folder, name)
    os.makedirs(place)
    seed = sum(map(ord, name))
    for band, values in zip(("green", "nir"), bands(*s["size"], s["dtype"], seed, s["void"])):
        creation = {k: v for k, v in s["creation"].items() if v is not None}
        write(os.path.join(place, f"{band}.tif"), values, s["nodata"], **creation)
    return item(place, name, {"green": "green.tif", "nir": "nir.tif"}), s["aoi"], s["epsg"]


def large(folder, side):
    """A synthetic Sentinel-2 tile (10 m, EPSG:32610) as two COGs; gives the item's path. Written in parts."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "large.json")
    if os.path.exists(path):
        return path
    from rasterio.shutil import copy

    pixel = 10 * 10980 / side
    coarse = field(side // 8 + 2, side // 8 + 2, 7)
    for band, (wet, dry) in {"green": (520, 820), "nir": (260, 2450)}.items():
        raw = os.path.join(folder, f"{band}.raw.tif")
        with rasterio.open(raw, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16", nodata=0, tiled=True,
                           crs="EPSG:32610", transform=from_origin(600000, 4500000, pixel, pixel)) as out:
            columns = np.arange(side) // 8
            for top in range(0, side, 512):
                rows = np.arange(top, min(top + 512, side))
                rng = np.random.default_rng([len(band), top])
                surface = coarse[(rows // 8)[:, None], columns[None, :]].astype(np.float32)
                noise = rng.standard_normal(surface.shape, dtype=np.float32)
                water = surface < -0.8
                values = np.where(water, wet + 25 * noise, dry + (200 * surface + 60 * noise))
                values = np.clip(np.rint(values), 1, 16000).astype(np.uint16)
                values[(np.arange(side)[None, :] - rows[:, None]) > 0.592 * side] = 0
                out.write(values, 1, window=((rows[0], rows[-1] + 1), (0, side)))
        copy(raw, os.path.join(folder, f"{band}.tif"), driver="COG", compress="DEFLATE", predictor="YES", blocksize="1024",
             overviews="NONE", num_threads="ALL_CPUS")
        os.remove(raw)
    return item(folder, "large", {"green": "green.tif", "nir": "nir.tif"}, "2021-07-13T19:03:24Z")
