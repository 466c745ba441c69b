"""Differences between an oracle's result and weir-eo's, as lines of text; no line: they are equal."""
import json
import os

import numpy as np
import rasterio


def rasters(expected, got, overviews=False):
    """Size, bands, type, nodata, system, place and every pixel; with `overviews` those of all levels."""
    with rasterio.open(expected) as a, rasterio.open(got) as b:
        for key in ("width", "height", "count", "dtypes", "nodata", "crs", "transform"):
            x, y = getattr(a, key), getattr(b, key)
            if x != y and not (key == "nodata" and x is not None and y is not None and np.isnan(x) and np.isnan(y)):
                yield f"{key}: {x!r}, not {y!r}"
                return
        levels = [None]
        if overviews:
            if a.overviews(1) != b.overviews(1):
                yield f"overviews: {a.overviews(1)}, not {b.overviews(1)}"
                return
            levels += range(len(a.overviews(1)))
            if b.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG" or b.profile["blockxsize"] != 512:
                yield "GDAL does not see a COG with tiles of 512 pixels"
    for level in levels:
        extra = {} if level is None else {"overview_level": level}
        with rasterio.open(expected, **extra) as a, rasterio.open(got, **extra) as b:
            for band in a.indexes:
                x, y = a.read(band), b.read(band)
                same = (x == y) | ((x != x) & (y != y))
                if not same.all():
                    row, col = np.argwhere(~same)[0]
                    yield (f"level {level}, band {band}: {np.count_nonzero(~same)} of {x.size} pixels differ, "
                           f"first ({row}, {col}): {x[row, col]!r}, not {y[row, col]!r}")


# STAC 1.1 of today's pystac beside the 1.0 that is written here; the extensions' list changes with it.
VERSIONS = ("stac_version", "stac_extensions")


def documents(expected, got, tolerance=1e-12):
    """All JSON documents of two folders; numbers that are not whole within `tolerance` (degrees), all else exactly."""
    names = [sorted(os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs if f.endswith(".json"))
             for root in (expected, got)]
    if names[0] != names[1]:
        yield f"documents: {names[0]}, not {names[1]}"
        return
    for name in names[0]:
        with open(os.path.join(expected, name)) as a, open(os.path.join(got, name)) as b:
            x, y = json.load(a), json.load(b)
        for key in VERSIONS:
            x.pop(key, None), y.pop(key, None)
        yield from values(x, y, tolerance, name)


def values(x, y, tolerance, place):
    if isinstance(x, dict) and isinstance(y, dict):
        if x.keys() != y.keys():
            yield f"{place}: keys {sorted(x)}, not {sorted(y)}"
            return
        for key in x:
            # Statistics are counts and their quotients: equal to the last bit.
            exact = key in ("statistics", "histogram")
            yield from values(x[key], y[key], 0 if exact else tolerance, f"{place}.{key}")
    elif isinstance(x, list) and isinstance(y, list) and len(x) == len(y):
        for i, (p, q) in enumerate(zip(x, y)):
            yield from values(p, q, tolerance, f"{place}[{i}]")
    elif isinstance(x, (int, float)) and isinstance(y, (int, float)) and not isinstance(x, bool):
        if abs(x - y) > tolerance:
            yield f"{place}: {x!r}, not {y!r}"
    elif x != y:
        yield f"{place}: {x!r}, not {y!r}"
