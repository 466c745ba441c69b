"""Validation against schemas.yaml."""
import functools
import pathlib

import jsonschema
import yaml


@functools.cache
def definitions():
    return yaml.safe_load((pathlib.Path(__file__).resolve().parents[1] / "schemas.yaml").read_text())


@functools.cache
def validator(name):
    jsonschema.Draft202012Validator.check_schema(definitions())
    return jsonschema.Draft202012Validator(definitions() | {"$ref": f"#/$defs/{name}"})


def mistakes(document, name):
    """What is wrong with the document as a `name`, with its place."""
    found = sorted(validator(name).iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    return [f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]
