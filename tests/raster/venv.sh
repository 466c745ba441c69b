# Sourced by `run` and `bench`: sets `python` to one with the oracle's libraries, made once and kept in the user's cache.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
key=$(cksum < "$here/requirements.txt" | cut -d' ' -f1)
venv="${XDG_CACHE_HOME:-$HOME/.cache}/weir/raster-oracle-$key"
python="$venv/bin/python"
if [ ! -e "$venv/complete" ]; then
  echo "installing the oracle's libraries into $venv" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$here/../retry" "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  touch "$venv/complete"
fi
