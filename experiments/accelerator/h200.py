"""Compiling for an NVIDIA H200 on a machine without one.

XLA's CUDA compiler runs without the device. Its plugins go into a folder of their own, out of JAX's sight elsewhere:

    pip install --no-deps --target DIR jax-cuda12-plugin==VERSION jax-cuda12-pjrt==VERSION nvidia-cuda-nvcc-cu12

with the version of the installed ``jaxlib`` (0.10.2 was seen; about 600 MB). Autotuning needs the device and is off, so
durations are not known; kernels, dtypes and ``memory_analysis()`` are those of the real compiler.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLUGINS = "TVNJAX_H200_PLUGINS"
"""Variable that names the folder of the plugins."""

_MEMORY_GB_S, _MEMORY_BYTES, _CLOCK_GHZ = 4800, 151397597184, 1.98
_H200 = f"""
gpu_device_info {{
  cuda_compute_capability {{ major: 9 }}
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: {_CLOCK_GHZ}
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  l2_cache_size: 52428800 device_memory_size: {_MEMORY_BYTES} memory_bandwidth: {_MEMORY_GB_S * 10**9}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "NVIDIA H200 141GB HBM3e"
"""


def compiler_for_h200(plugins: Path) -> Callable[..., Any]:
    """``compile(function, *args, donate=())``, args being arrays or shapes: the function's program for one H200; of
    arguments at positions ``donate`` the memory is reused.

    Has to be called before JAX is used: it sets the flags that JAX reads then.
    """
    toolkit = plugins / "nvidia" / "cuda_nvcc"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_gpu_cuda_data_dir={toolkit} --xla_gpu_autotune_level=0"
    os.environ["PATH"] = f"{toolkit / 'bin'}{os.pathsep}{os.environ['PATH']}"
    sys.path.insert(0, str(plugins))

    import jax
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    device = topologies.get_topology_desc(platform="cuda", topology_name="1x1x1", topology="1x1x1", target_config=_H200)
    there = NamedSharding(Mesh(np.array(device.devices).reshape(-1), ("data",)), PartitionSpec())

    def compile_(function: Callable[..., Any], *args: Any, donate: tuple[int, ...] = ()) -> Any:
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there), args)
        return jax.jit(function, donate_argnums=donate).lower(*shapes).compile()

    return compile_
