#!/bin/sh
# Build .venv around an interpreter that imports dolfinx; do nothing when it is ready.
# Environment: PYTHON (interpreter to use), TORCH_INDEX (extra pip index for torch).
set -eu
cd "$(dirname "$0")/.."
here=$(pwd -P)

say() { printf 'setup: %s\n' "$*"; }

has_dolfinx() { command -v "$1" >/dev/null 2>&1 && "$1" -c 'import dolfinx' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-} /usr/bin/python3 python3; do
        if has_dolfinx "$candidate"; then echo "$candidate"; return 0; fi
    done
    return 1
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then sudo=""
    elif command -v sudo >/dev/null 2>&1; then sudo="sudo"
    else return 1; fi
    say "installing $* with apt-get (about a minute)"
    $sudo apt-get update -qq || true
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

no_dolfinx() {
    cat >&2 <<'MSG'
setup: no Python with DOLFINx was found, and apt-get could not install one.
  wanted: an interpreter in which `import dolfinx` works
  got:    none of $PYTHON, /usr/bin/python3, python3
  mend:   Debian/Ubuntu:  sudo apt-get install python3-dolfinx-real python3-venv
          conda-forge:    pixi run demo        (pixi.toml brings a current DOLFINx)
          Docker:         docker run --rm -v "$PWD":/w -w /w dolfinx/dolfinx:stable make demo
          or name one:    PYTHON=/path/to/python make demo
MSG
    exit 2
}

# What the environment was made from: a change in any of it rebuilds .venv.
fingerprint() {
    printf '%s\n' "$here"
    cat pyproject.toml tools/setup.sh constraints/*.txt
}

wanted=$(fingerprint | cksum)
if [ -x .venv/bin/python ] && [ "$(cat .venv/.ready 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

base=$(find_python) || { apt_install python3-dolfinx-real python3-venv && base=$(find_python); } \
    || no_dolfinx
"$base" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv || {
    echo "setup: $base has no ensurepip; install python3-venv" >&2; exit 2; }

pins=constraints/modern.txt
"$base" -c 'import dolfinx, sys; sys.exit(dolfinx.__version__ < "0.8" and 1 or 0)' \
    || pins=constraints/debian12.txt

say "building .venv with $base ($pins)"
rm -rf .venv
"$base" -m venv --system-site-packages .venv
.venv/bin/python -m pip install -q --disable-pip-version-check -c "$pins" \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -e '.[md,ml,dev]'

# gmsh loads X libraries even without a screen, and one that cannot would break the
# import of some newer dolfinx too. The one of Debian 12 (4.8) is too old.
has_gmsh() { .venv/bin/python -c 'import gmsh; gmsh.isInitialized' >/dev/null 2>&1; }
.venv/bin/python -m pip install -q --disable-pip-version-check -c "$pins" -e '.[mesh]' || true
has_gmsh || apt_install libgl1 libglu1-mesa libxcursor1 libxft2 libxinerama1 libxrender1 \
    || true
has_gmsh || {
    .venv/bin/python -m pip uninstall -q -y gmsh || true
    say "no gmsh here: meshes of intervals and rectangles only"
}

mkdir -p .dev
ln -sfn "$here" .dev/mesobridge
.venv/bin/python - <<'PY'
import dolfinx, numpy, openmm, torch
import mesobridge
print(f"setup: ready: dolfinx {dolfinx.__version__}, numpy {numpy.__version__}, "
      f"torch {torch.__version__}, openmm {openmm.__version__}")
PY
printf '%s\n' "$wanted" > .venv/.ready
