# Sourced by `run` and `bench`: sets `python` to one with the clients, made once and kept in the user's cache.
#   make_venv NAME REQUIREMENTS   WEIR_PYTHON chooses the interpreter: OWSLib 0.36 wants 3.12, an older one gets OWSLib 0.35
interpreter() {
  local candidate
  for candidate in "${WEIR_PYTHON:-}" python3.13 python3.12 "$HOME"/.pyenv/versions/3.1[23].*/bin/python3; do
    if [ -n "$candidate" ] && "$candidate" -c '' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo python3
}

make_venv() {
  local venv
  venv="${XDG_CACHE_HOME:-$HOME/.cache}/weir/$1-$(cksum < "$2" | cut -d' ' -f1)"
  python="$venv/bin/python"
  if [ ! -e "$venv/complete" ]; then
    echo "installing $(basename "$2") into $venv" >&2
    rm -rf "$venv"
    "$(interpreter)" -m venv "$venv"
    "$(dirname "${BASH_SOURCE[0]}")/../retry" "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    touch "$venv/complete"
  fi
}
