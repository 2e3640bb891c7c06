"""Golden position tables and parameter counts.

Made with: Python 3.11, numpy 2.4.6, torch 2.15.0, timm 1.0.31, safetensors 0.8.0
Run:       python tools/golden/net.py tests/golden/net

The position tables come from transformers 5.23.0 (textbook order; its ViTMAE then swaps the halves for released weights, and so do we here).
Counts: encoder from timm's VisionTransformer (num_classes 0), decoder side from timm's Block and torch's Linear.
"""
import sys
import numpy as np
import torch
from safetensors.numpy import save_file
from timm.models.vision_transformer import Block, VisionTransformer
from transformers.models.vit_mae.modeling_vit_mae import build_2d_sinusoidal_position_embedding

PRESETS = [("pico", 128, 4, 4, 64, 2, 2, 8, 64), ("tiny", 192, 12, 3, 96, 4, 3, 8, 64), ("small", 384, 12, 6, 512, 8, 16, 16, 224),
           ("base", 768, 12, 12, 512, 8, 16, 16, 224), ("large", 1024, 24, 16, 512, 8, 16, 16, 224), ("huge", 1280, 32, 16, 512, 8, 16, 14, 224)]


def table(d, gh, gw):
    t = build_2d_sinusoidal_position_embedding(height=gh, width=gw, embed_dim=d, cls_token=True).double().reshape(-1, d)
    return torch.cat([t[:, d // 2:], t[:, :d // 2]], 1).float().numpy().copy()


out = {f"sincos_{d}_{gh}x{gw}": table(d, gh, gw) for d, gh, gw in ((16, 3, 3), (12, 7, 7), (192, 4, 5))}
size = lambda m: sum(p.numel() for p in m.parameters())
for name, d, depth, heads, dd, ddepth, dheads, p, img in PRESETS:
    with torch.device("meta"):
        enc = size(VisionTransformer(img_size=img, patch_size=p, embed_dim=d, depth=depth, num_heads=heads, num_classes=0))
        n = (img // p) ** 2 + 1
        dec = size(torch.nn.Linear(d, dd)) + dd + n * dd + ddepth * size(Block(dd, dheads, 4, qkv_bias=True)) + 2 * dd + size(torch.nn.Linear(dd, p * p * 3))
    out[f"count_{name}"] = np.array([enc, enc + dec], np.int64)
    print(name, enc, enc + dec)
save_file(out, sys.argv[1] + "/net.safetensors")
