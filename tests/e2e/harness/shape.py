"""Shapes of jobs: which runs wait for which. The benches run each by bare pods and by weir."""


def one():
    """A single step."""
    return {"step": []}


def chain(length):
    """Each step waits for the one before it."""
    return {f"step-{n}": [f"step-{n - 1}"] if n else [] for n in range(length)}


def water_bodies():
    """Ten runs: two scenes of two bands, one catalog, published."""
    shape = {}
    for scene in (0, 1):
        crops = [f"crop-{scene}-{band}" for band in (0, 1)]
        shape |= {crop: [] for crop in crops}
        shape[f"difference-{scene}"] = crops
        shape[f"otsu-{scene}"] = [f"difference-{scene}"]
    return shape | {"stac": ["otsu-0", "otsu-1"], "publish": ["stac"]}


def scatter(width):
    """Independent steps."""
    return {f"step-{n}": [] for n in range(width)}
