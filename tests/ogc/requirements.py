"""Every requirement of OGC API - Processes, Part 1 and Part 2, as a test over HTTP.

    tests/ogc/requirements.py BASE [TEST…]   all tests, or those whose names contain one of the words
    tests/ogc/requirements.py --table        the table of README.md
"""
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import checklist, target  # noqa: E402


def tests(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from tests(one)
        else:
            yield one


def main():
    suite = unittest.defaultTestLoader.discover(str(HERE / "cases"), pattern="*.py", top_level_dir=str(HERE))
    found = list(tests(suite))
    missing = [name for name, shown in checklist.shown_by(found).items() if not shown]
    if missing:
        sys.exit(f"no test shows {', '.join(missing)}")
    if "--table" in sys.argv:
        print(checklist.table(found))
        return 0
    if checklist.table(found) not in (HERE / "README.md").read_text():
        sys.exit("the table of README.md is not that of `requirements.py --table`")
    target.base()
    words = target.arguments()
    chosen = [test for test in found if not words or any(word in test.id() for word in words)]
    verbosity = 2 if words else 1
    return 0 if unittest.TextTestRunner(verbosity=verbosity).run(unittest.TestSuite(chosen)).wasSuccessful() else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
