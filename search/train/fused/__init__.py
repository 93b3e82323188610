"""Kernels for a GPU, in Triton: what torch does to all weights in several passes over memory, they do in one.

They are used on a GPU where Triton works (`toolchain`). Elsewhere torch trains, with which they are compared.
"""
