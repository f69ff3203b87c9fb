#!/usr/bin/env bash
# Puts together what a build with the feature `cuda` needs where there is no CUDA toolkit: NVIDIA's own wheels from
# PyPI in one folder, and a stand-in for the driver's library, which a program is linked against but never runs with.
# Needs Python 3 with venv, and gcc. Takes about 1.1 GB.
set -euo pipefail
folder=$(realpath -m "${1:?usage: toolkit.sh FOLDER}")

# The oldest of CUDA 13: a driver does not run kernels of a toolkit that is newer than itself.
wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35)
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
    --upgrade --target "$folder/wheels" "${wheels[@]}"
home=$folder/wheels/nvidia/cu13

# Linkers look for names without a version.
for library in cublas cublasLt cudart curand nvrtc; do
    versioned=("$home/lib/lib$library.so."*)
    ln -sf "$(basename "${versioned[0]}")" "$home/lib/lib$library.so"
done

# Every function of the driver says that there is no device (100), and the two that give words give these.
mkdir -p "$home/lib/stubs"
{
    echo 'static int say(const char **to) { *to = "no driver: this is the stand-in that programs are linked against"; return 0; }'
    echo 'int cuGetErrorName(int error, const char **to) { return say(to); }'
    echo 'int cuGetErrorString(int error, const char **to) { return say(to); }'
    grep -ohE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+)?\b' "$home/include/cuda.h" "$home/include/cudaProfilerTypedefs.h" |
        sort -u | grep -vxE 'cuGetError(Name|String)' | sed 's/.*/int &(void) { return 100; }/'
} >"$home/lib/stubs/cuda.c"
gcc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$home/lib/stubs/libcuda.so" "$home/lib/stubs/cuda.c"
ln -sf libcuda.so "$home/lib/stubs/libcuda.so.1"

cat <<SAID
For the build:
    export CUDA_HOME=$home PATH=$home/bin:\$PATH CUDA_COMPUTE_CAP=90
    cargo build --release -p causeway-worker --features cuda
Where it runs, the driver's own libcuda.so.1 and:
    export LD_LIBRARY_PATH=$home/lib
SAID
