"""What the end-to-end tests and benches stand on: Python's standard library, kubectl and helm. One concern a file."""
