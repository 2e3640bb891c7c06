"""Loads a run's encoder.safetensors in timm and its model.safetensors in a plain PyTorch MAE, and compares features with what ehm embed wrote.

usage: check_files.py FOLDER      FOLDER holds run/, pics/ (as ehm data --export wrote them), mean.npy, cls.npy
"""
import os
import sys

import numpy as np
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mae_torch

top = sys.argv[1]
with safe_open(f"{top}/run/model.safetensors", "pt") as f:
    meta = f.metadata()
full = load_file(f"{top}/run/model.safetensors")
heads, dec_heads = int(meta["num_heads"]), int(meta["decoder_num_heads"])
mean, std = (torch.tensor([float(v) for v in meta[k].split(",")]).view(1, -1, 1, 1) for k in ("mean", "std"))
want = {k: torch.from_numpy(np.load(f"{top}/{k}.npy")) for k in ("mean", "cls")}
files = [line.split("\t")[0] for line in open(f"{top}/mean.tsv").read().splitlines()[1:]]


def path(name):
    for p in (name, os.path.join(f"{top}/pics", name)):
        if os.path.exists(p):
            return p
    raise SystemExit(f"no picture {name}")


x = torch.stack([torch.from_numpy(np.array(Image.open(path(f)).convert("RGB"))).permute(2, 0, 1) for f in files]).float() / 255
x = (x - mean) / std
d = full["cls_token"].shape[-1]
model = timm.create_model(
    "vit_tiny_patch16_224", num_classes=0, global_pool="token", img_size=(int(meta["img_h"]), int(meta["img_w"])), patch_size=int(meta["patch_size"]),
    embed_dim=d, depth=int(meta["depth"]), num_heads=heads, checkpoint_path=f"{top}/run/encoder.safetensors").eval()
torch.manual_seed(0)
worst = {}
with torch.no_grad():
    for name, tokens in (("timm", model.forward_features(x)), ("plain PyTorch MAE", mae_torch.encode(x, full, heads))):
        for k, v in (("cls", tokens[:, 0]), ("mean", tokens[:, 1:].mean(1))):
            worst[name, k] = float((v - want[k]).abs().max())
    noise = torch.rand(len(x), full["pos_embed"].shape[1] - 1)
    order = noise.argsort(1)
    restore = order.argsort(1)
    n = order.shape[1] // 4
    mask = torch.ones_like(noise).scatter(1, order[:, :n], 0)
    pred = mae_torch.decode(mae_torch.encode(x, full, heads, order[:, :n]), full, dec_heads, restore)
    value = float(mae_torch.loss(pred, x, mask, int(meta["patch_size"]), meta["norm_pix_loss"] == "true"))
for k, v in worst.items():
    print(f"{k[0]}, {k[1]} features: largest difference {v:.2e}")
print(f"plain PyTorch MAE: {len(full)} tensors, loss on random masks {value:.4f}")
if max(worst.values()) > 1e-4 or not 0 < value < 3:
    sys.exit("features differ by more than 1e-4, or the loss is out of range")
