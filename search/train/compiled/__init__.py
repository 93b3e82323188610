"""The engine of the CPU: kernels that numba compiles, which train a pack slot by slot, each in the processor's cache.

`toolchain` says whether there is one on this machine; import nothing else from here if there is none. `network` is what
the trainer calls.
"""
