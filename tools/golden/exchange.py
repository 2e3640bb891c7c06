"""Patch embeddings, input channels and position tables brought to other sizes by timm and by PyTorch.

    python tools/golden/exchange.py tests/golden/exchange_resample

Python 3.11.7, torch 2.15.0, timm 1.0.31, safetensors 0.8.0, numpy 2.4.6 (CPU).
"""
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from timm.layers import resample_abs_pos_embed
from timm.layers.patch_embed import resample_patch_embed
from timm.models._manipulate import adapt_input_conv

OUT = sys.argv[1]
rng = np.random.default_rng(11)


def draw(*shape):
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


out = {}
for p, sides in ((16, (8, 14, 12, 32, 1)), (4, (2, 3, 8, 5)), (7, (7, 6, 9))):
    kernel = draw(2, 2, p, p)
    out[f"kernel.{p}"] = kernel
    for q in sides:
        out[f"kernel.{p}.to.{q}"] = resample_patch_embed(kernel, [q, q])
rgb = draw(5, 3, 2, 2)
out["rgb"] = rgb
for n in (1, 2, 3, 4, 6, 8):
    out[f"rgb.to.{n}"] = adapt_input_conv(n, rgb.clone())
table = draw(1, 1 + 4 * 6, 5)
out["table"] = table
for h, w in ((7, 9), (2, 3), (4, 6), (6, 4), (1, 13), (3, 3)):
    grid = table[:, 1:].reshape(1, 4, 6, 5).permute(0, 3, 1, 2)  # as MAE's interpolate_pos_embed does for squares
    grid = torch.nn.functional.interpolate(grid, size=(h, w), mode="bicubic", align_corners=False)
    out[f"mae.{h}x{w}"] = torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)
    out[f"timm.{h}x{w}"] = resample_abs_pos_embed(table, new_size=[h, w], old_size=[4, 6], num_prefix_tokens=1)
save_file({k: np.ascontiguousarray(v.numpy()) for k, v in out.items()}, f"{OUT}/resample.safetensors")
