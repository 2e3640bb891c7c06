"""Golden similarities of patches from the attention of a small vision transformer.

Made with: Python 3.11, numpy 2.4.6, torch 2.15.0, timm 1.0.31, safetensors 0.8.0
Run:       python tools/golden/affinity.py tests/golden/mae

Weights and pictures are those of tests/golden/mae (tools/golden/mae.py); attention comes from the model there (timm's blocks), similarity from
NumPy: np.corrcoef for profiles, the diagonal of each slice first set to its row's off-diagonal mean. All in float64.
Keys: KIND_UNIT_LAYERS, each [pictures, L, L]; attention is the mean over all layers and heads with the class token dropped, cls the class
token's row of the last layer. "residual" subtracts the mean over these pictures, of each layer.
"""
import sys
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from mae import MAE


def renormalise(a):
    return a / a.sum(-1, keepdims=True)


def profile(slices):
    out = np.zeros(slices.shape[1:])
    for a in slices:
        a = a.copy()
        L = len(a)
        np.fill_diagonal(a, (a.sum(1) - np.diag(a)) / (L - 1))
        out += np.corrcoef(a) + np.corrcoef(a.T)
    return out / len(slices)


def direct(slices, standardise):
    out = np.zeros(slices.shape[1:])
    off = ~np.eye(slices.shape[1], dtype=bool)
    for a in slices:
        out += (a + a.T) / 2 / (a[off].std() if standardise else 1)
    return out / len(slices)


torch.set_default_dtype(torch.float64)
folder = sys.argv[1]
w, d = load_file(f"{folder}/rect_weights.safetensors"), load_file(f"{folder}/rect_data.safetensors")
m = MAE(16, 24, 4, 3, 16, 2, 2, 12, 2, 3, True)
m.load_state_dict({k: v.double() for k, v in w.items()})
x = ((d["pixels"].double() / 255 - d["mean"]) / d["std"]).permute(0, 3, 1, 2)
with torch.no_grad():
    attn = np.stack([a.numpy() for a in m.features(x)[1]])  # [layer, picture, head, 1+L, 1+L]
patches = attn[..., 1:, 1:]
heads, mean = renormalise(patches), renormalise(patches.mean(2, keepdims=True))
raw = patches.mean(2, keepdims=True)
n = attn.shape[1]
out = {"attention": patches.mean((0, 2)), "cls": attn[-1, :, :, 0, 1:].mean(1)}
for what, layers in (("all", [0, 1]), ("first", [0]), ("last", [1])):
    over = lambda f, a: np.stack([np.mean([f(a[l, i]) for l in layers], 0) for i in range(n)])
    out[f"profile_layer_{what}"] = over(profile, mean)
    out[f"profile_head_{what}"] = over(profile, heads)
    out[f"profile_raw_{what}"] = over(profile, raw)
    out[f"residual_layer_{what}"] = over(profile, mean - mean.mean(1, keepdims=True))
    out[f"residual_head_{what}"] = over(profile, heads - heads.mean(1, keepdims=True))
    out[f"direct_layer_{what}"] = over(lambda a: direct(a, False), mean)
    out[f"direct_standardise_{what}"] = over(lambda a: direct(a, True), heads)
out = {k: v for k, v in out.items() if not k.endswith(("first", "last")) or "_layer_" in k and "residual_layer_last" != k}
save_file({k: torch.from_numpy(np.ascontiguousarray(v)).float() for k, v in out.items()}, f"{folder}/rect_affinity.safetensors")
print({k: v.shape for k, v in out.items()})
