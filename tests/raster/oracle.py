#!/usr/bin/env python3
"""The water-bodies steps on the libraries that the published package uses; what weir-eo must equal.

    oracle.py crop ITEM AOI EPSG BAND | normalized_difference A B | otsu RASTER | stac ITEM MASK

Results go to the current folder. As functions the steps take the folder as their last argument.
"""
import json
import os
import shutil
import sys
import warnings


def options(dtype):
    return {"driver": "COG", "compress": "lzw", "dtype": dtype}


def first_item(address):
    import pystac

    if os.path.isdir(address):
        return next(iter(pystac.Catalog.from_file(os.path.join(address, "catalog.json")).get_items()))
    return pystac.Item.from_file(address)


def asset_of(item, common_name):
    for asset in item.assets.values():
        if "data" in asset.roles and common_name in [b.get("common_name") for b in asset.extra_fields.get("eo:bands", [])]:
            return asset.get_absolute_href()
    raise LookupError(common_name)


def crop(address, aoi, epsg, band, folder="."):
    import pyproj
    import rasterio
    import rasterio.mask
    import shapely

    west, south, east, north = map(float, aoi.split(","))
    with rasterio.open(asset_of(first_item(address), band)) as source:
        project = pyproj.Transformer.from_crs(epsg, source.crs, always_xy=True).transform
        area = shapely.box(*project(west, south), *project(east, north))
        pixels, transform = rasterio.mask.mask(source, [area], crop=True)
        profile = {
            "count": source.count, "crs": source.crs, "nodata": source.nodata, "transform": transform,
            "height": pixels.shape[1], "width": pixels.shape[2],
        }
    with rasterio.open(os.path.join(folder, f"crop_{band}.tif"), "w", **profile, **options("uint16")) as out:
        out.write(pixels)


def first_band(path):
    import rasterio

    with rasterio.open(path) as source:
        keys = ("count", "crs", "nodata", "transform", "height", "width")
        return source.read(1), {key: source.meta[key] for key in keys}


def normalized_difference(first, second, folder="."):
    import numpy as np
    import rasterio

    (a, profile), (b, _) = first_band(first), first_band(second)
    a, b = a.astype(np.float32), b.astype(np.float32)
    with np.errstate(all="ignore"):
        index = (a - b) / (a + b)
    with rasterio.open(os.path.join(folder, "norm_diff.tif"), "w", **profile, **options("float32")) as out:
        out.write(index, 1)


def otsu(raster, folder="."):
    """Gives the threshold and the name of its type."""
    import numpy as np
    import rasterio
    from skimage.filters import threshold_otsu

    values, profile = first_band(raster)
    threshold = np.asarray(threshold_otsu(values[np.isfinite(values)]))
    with rasterio.open(os.path.join(folder, "otsu.tif"), "w", **profile, **options("uint8")) as out:
        out.write(values > threshold, 1)
    return float(threshold), str(threshold.dtype)


def stac(address, mask, folder="."):
    import pystac
    from rio_stac import create_stac_item

    item = first_item(address)
    os.makedirs(os.path.join(folder, item.id), exist_ok=True)
    shutil.copy(mask, os.path.join(folder, item.id))
    catalog = pystac.Catalog("catalog", "water-bodies")
    catalog.add_item(create_stac_item(
        mask, id=item.id, input_datetime=item.datetime, asset_name="data", asset_roles=["data", "visual"],
        asset_href=os.path.basename(mask), with_proj=True, with_raster=True,
    ))
    catalog.normalize_and_save(folder, pystac.CatalogType.SELF_CONTAINED)


def main():
    warnings.simplefilter("ignore")
    step = {"crop": crop, "normalized_difference": normalized_difference, "otsu": otsu, "stac": stac}[sys.argv[1]]
    result = step(*sys.argv[2:])
    if result is not None:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
