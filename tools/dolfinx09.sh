#!/bin/bash
# DOLFINx 0.9.0 in a virtual environment of its own on Debian 12 (bookworm), beside
# Debian's DOLFINx 0.5.2, which it neither uses nor changes.
#
#   PETSc 3.18 (real; MUMPS, hypre, SCOTCH), Open MPI, HDF5, Boost: Debian 12's packages
#   DOLFINx 0.9.0:  source of Debian's fenics-dolfinx (trixie), upstream's tarball as it is
#   petsc4py, mpi4py: PyPI, compiled against the PETSc and MPI above
#   basix, ffcx, ufl: PyPI's wheels (basix's wheel carries its C++ library and headers)
#
# Run as root (for apt-get), once: about 13 minutes on 2 cores. A second run takes seconds:
# it builds what is missing and checks the rest.
#   PREFIX  where everything goes   (/opt/dolfinx09)
#   JOBS    parallel compilations   (2; each takes up to about 2 GB of memory)
#   REBUILD set to 1 to start again from nothing
set -euo pipefail

PREFIX=${PREFIX:-/opt/dolfinx09}
JOBS=${JOBS:-2}
VERSION=0.9.0
SUITE=trixie
VENV=$PREFIX/venv
PY=$VENV/bin/python
arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)

say() { printf '\n== %s  [%s s]\n' "$*" "$SECONDS"; }

[ "${REBUILD:-0}" = 1 ] && rm -rf "$VENV" "$PREFIX"/{cpp,petsc,src}
mkdir -p "$PREFIX/src"
cd "$PREFIX/src"           # never in a folder that holds a dolfinx/ or a petsc4py/

# ---- 1. Debian's packages ----------------------------------------------------------
# --no-remove: rather fail than take away something that is installed.
say "Debian packages"
packages=(build-essential cmake ninja-build pkg-config dpkg-dev python3-venv python3-dev
          openmpi-bin libopenmpi-dev libpetsc-real-dev libhdf5-mpi-dev libscotch-dev
          libboost-dev libboost-timer-dev libpugixml-dev libspdlog-dev)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
    apt-get -o DPkg::Lock::Timeout=900 update -qq
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 install -y -qq \
        --no-remove --no-install-recommends "${packages[@]}" >/dev/null
fi
petsc=$(ls -d /usr/lib/petscdir/petsc3.*/"$arch"-real | sort -V | tail -1)
petsc_version=$(pkg-config --modversion "$petsc/lib/pkgconfig/PETSc.pc")     # 3.18.5
echo "PETSc $petsc_version in $petsc"

# ---- 2. The source ------------------------------------------------------------------
# Lists of trixie's sources in a folder of our own: the system's apt never hears of
# trixie. --tar-only: upstream's tarball, checked against Debian's signed index.
say "source of DOLFINx $VERSION"
src=$PREFIX/src/fenics-dolfinx-$VERSION
if [ ! -d "$src" ]; then
    apt=$PREFIX/src/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
         "http://deb.debian.org/debian $SUITE main" > "$apt/sources.list"
    own=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=-
         -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache"
         -o APT::Sandbox::User=root)
    apt-get "${own[@]}" update -qq
    apt-get "${own[@]}" source --download-only --tar-only -qq fenics-dolfinx
    tar xf "fenics-dolfinx_$VERSION.orig.tar.gz"
    rm -rf "$apt"
fi

# ---- 3. The virtual environment -----------------------------------------------------
# /usr/bin/python3 by name (a pyenv or conda python3 may come first on PATH); a plain
# venv, without --system-site-packages: it must not see Debian's 0.5.2, nor its numpy 1.24.
say "virtual environment"
[ -x "$PY" ] || /usr/bin/python3 -m venv "$VENV"
export PATH=$VENV/bin:$PATH
unset PYTHONPATH PETSC_ARCH SLEPC_DIR
pip() { nice -n 10 "$PY" -m pip --disable-pip-version-check "$@"; }
have() { "$PY" -m pip show -q "$1" >/dev/null 2>&1; }

# setuptools < 66: petsc4py 3.18's conf/ calls distutils in ways that later ones refuse.
# cython < 3: the same sources. numpy < 2.3, scikit-build-core, nanobind: of the age of 0.9.
pip install -q "setuptools<66" wheel "cython<3" "numpy>=2,<2.3" \
    "scikit-build-core[pyproject]<0.11" "nanobind>=2,<2.3" "cffi<1.17" \
    fenics-basix==0.9.0 fenics-ffcx==0.9.0 fenics-ufl==2024.2.0

# ---- 4. mpi4py and petsc4py, against Debian's Open MPI and PETSc ---------------------
say "mpi4py"
have mpi4py || MPICC=mpicc pip install -q --no-binary mpi4py "mpi4py>=4,<5"

# petsc4py links -lpetsc, Debian's library is libpetsc_real.so. A folder of links gives it
# the name it looks for and leaves /usr alone.
say "petsc4py"
mkdir -p "$PREFIX/petsc/lib"
ln -sfn "$petsc/include" "$PREFIX/petsc/include"
ln -sfn "$petsc/lib/petsc" "$PREFIX/petsc/lib/petsc"
ln -sfn "$petsc/lib/pkgconfig" "$PREFIX/petsc/lib/pkgconfig"
ln -sfn "$petsc/lib/libpetsc_real.so" "$PREFIX/petsc/lib/libpetsc_real.so"
ln -sfn "$petsc/lib/libpetsc_real.so" "$PREFIX/petsc/lib/libpetsc.so"
export PETSC_DIR=$PREFIX/petsc PETSC_ARCH=
have petsc4py || pip install -q --no-binary petsc4py --no-build-isolation --no-deps \
    "petsc4py==$petsc_version"

# ---- 5. DOLFINx, C++ ----------------------------------------------------------------
# Off: ADIOS2, ParMETIS and KaHIP (not in Debian 12), SLEPc (eigenvalue problems).
# SCOTCH partitions the meshes. CMAKE_PREFIX_PATH puts the wheel's basix before 0.5's.
say "DOLFINx, C++ library"
cpp=$PREFIX/cpp
basix=$("$PY" -c 'import basix, os; print(os.path.dirname(basix.__file__))')
if [ ! -e "$cpp/lib/libdolfinx.so" ]; then
    nice -n 10 cmake -G Ninja -S "$src/cpp" -B "$PREFIX/src/build-cpp" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$cpp" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON -DCMAKE_PREFIX_PATH="$basix" \
        -DPython3_EXECUTABLE="$PY" -DDOLFINX_SKIP_BUILD_TESTS=ON \
        -DDOLFINX_ENABLE_PETSC=ON -DDOLFINX_ENABLE_SCOTCH=ON \
        -DDOLFINX_ENABLE_ADIOS2=OFF -DDOLFINX_ENABLE_PARMETIS=OFF \
        -DDOLFINX_ENABLE_KAHIP=OFF -DDOLFINX_ENABLE_SLEPC=OFF
    nice -n 10 cmake --build "$PREFIX/src/build-cpp" -j "$JOBS"
    cmake --install "$PREFIX/src/build-cpp" >/dev/null
fi

# ---- 6. DOLFINx, Python -------------------------------------------------------------
# DOLFINX_DIR names ours: Debian's libdolfinx-dev 0.5.2 may be installed as well.
# (--config-settings in full: Debian's pip 23.0 has no -C.)
say "DOLFINx, Python"
have fenics-dolfinx || CMAKE_PREFIX_PATH=$cpp:$basix CMAKE_BUILD_PARALLEL_LEVEL=$JOBS \
    pip install -q --no-build-isolation --no-deps \
    --config-settings=cmake.define.DOLFINX_DIR="$cpp/lib/cmake/dolfinx" \
    --config-settings=cmake.define.Python_EXECUTABLE="$PY" "$src/python"

# ---- 7. What else the environment is to hold ----------------------------------------
# Forms are compiled when they are first used: ffcx needs cffi, and setuptools with it.
say "other Python packages"
pip install -q "numpy>=2,<2.3" "cffi<1.17" "setuptools<66" scipy xarray h5py h5netcdf \
    safetensors pint pydantic typer rich matplotlib pytest hypothesis

# gmsh (wheel of PyPI): a headless machine wants these libraries of X11 and OpenGL too.
if [ "${GMSH:-1}" = 1 ]; then
    say "gmsh"
    x11=(libgl1 libglu1-mesa libxrender1 libxcursor1 libxft2 libxinerama1 libxfixes3 libgomp1)
    dpkg -s "${x11[@]}" >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get \
        -o DPkg::Lock::Timeout=900 install -y -qq --no-remove --no-install-recommends \
        "${x11[@]}" >/dev/null
    pip install -q gmsh
fi

# ---- 8. Does it work? ---------------------------------------------------------------
say "check"
"$PY" -c 'import h5py, dolfinx, numpy; from dolfinx import fem, mesh
print("dolfinx", dolfinx.__version__, "numpy", numpy.__version__, "h5py", h5py.__version__)'
cat > "$PREFIX/poisson.py" <<'PYEND'
"""P2 Poisson problem with a known solution: MUMPS, then hypre's BoomerAMG."""
import numpy as np
import ufl
from dolfinx import fem, mesh
from dolfinx.fem.petsc import LinearProblem
from mpi4py import MPI

comm = MPI.COMM_WORLD
domain = mesh.create_unit_square(comm, 16, 16)
V = fem.functionspace(domain, ("Lagrange", 2))
exact = fem.Function(V)
exact.interpolate(lambda x: 1 + x[0] ** 2 + 2 * x[1] ** 2)
u, v = ufl.TrialFunction(V), ufl.TestFunction(V)
a = ufl.inner(ufl.grad(u), ufl.grad(v)) * ufl.dx
L = fem.Constant(domain, -6.0) * v * ufl.dx
domain.topology.create_connectivity(1, 2)
facets = mesh.exterior_facet_indices(domain.topology)
bc = fem.dirichletbc(exact, fem.locate_dofs_topological(V, 1, facets))
for name, options in {
    "mumps": {"ksp_type": "preonly", "pc_type": "lu", "pc_factor_mat_solver_type": "mumps"},
    "boomeramg": {"ksp_type": "cg", "pc_type": "hypre", "pc_hypre_type": "boomeramg",
                  "ksp_rtol": 1e-12, "ksp_error_if_not_converged": True},
}.items():
    problem = LinearProblem(a, L, bcs=[bc], petsc_options=options)
    uh = problem.solve()
    local = fem.assemble_scalar(fem.form((uh - exact) ** 2 * ufl.dx))
    error = np.sqrt(comm.allreduce(local))
    assert error < 1e-9, (name, error)
    if comm.rank == 0:
        print(f"{name}: {comm.size} process(es), {problem.solver.its} iteration(s), "
              f"L2 error {error:.1e}")
PYEND
export OMP_NUM_THREADS=1
"$PY" "$PREFIX/poisson.py"
as_root=(); [ "$(id -u)" = 0 ] && as_root=(--allow-run-as-root)
mpirun "${as_root[@]}" --oversubscribe -n 2 "$PY" "$PREFIX/poisson.py"
say "ready: $PY"
