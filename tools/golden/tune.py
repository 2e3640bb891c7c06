"""Ten steps of fine-tuning by PyTorch, and resized position tables by timm.

    python tools/golden/tune.py tests/golden/tune

Python 3.11.7, torch 2.15.0, timm 1.0.31, safetensors 0.8.0, numpy 2.4.6 (CPU). The network is timm's VisionTransformer with average pooling (fc_norm), the
optimiser torch.optim.AdamW with a parameter group for each layer as MAE's lr_decay.py has them, the schedule MAE's lr_sched.py for each step; all in double.
"""
import math
import sys

import numpy as np
import timm
import torch
from safetensors.numpy import save_file
from timm.layers import resample_abs_pos_embed

OUT = sys.argv[1]
STEPS, BATCH, CLASSES, DEPTH = 10, 4, 3, 2
LR, MIN_LR, WARMUP, DECAY, LAYER_DECAY, CLIP = 4e-3, 1e-6, 2.0, 0.05, 0.75, 0.3
rng = np.random.default_rng(7)
torch.manual_seed(7)

model = timm.models.vision_transformer.VisionTransformer(
    img_size=8, patch_size=4, embed_dim=16, depth=DEPTH, num_heads=2, num_classes=CLASSES, global_pool="avg")
assert isinstance(model.norm, torch.nn.Identity)
with torch.no_grad():
    for p in model.parameters():  # far enough from symmetry that every gradient matters; exact in f32
        p.copy_(torch.from_numpy((rng.standard_normal(p.shape) * 0.2).astype(np.float32)))
start = {k: v.detach().numpy().astype(np.float32) for k, v in model.state_dict().items()}
model = model.double()


def layer_of(name):
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    return int(name.split(".")[1]) + 1 if name.startswith("blocks") else DEPTH + 1


groups = []
for name, p in model.named_parameters():
    flat = p.ndim == 1 or name in ("cls_token", "pos_embed")
    groups.append({"params": [p], "weight_decay": 0.0 if flat else DECAY, "scale": LAYER_DECAY ** (DEPTH + 1 - layer_of(name))})
opt = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8)

pixels = rng.random((STEPS, BATCH, 8, 8, 3)).astype(np.float32)
first, second = rng.integers(0, CLASSES, (2, STEPS, BATCH))
share = rng.random((STEPS, 1, 1))
onehot = np.full((CLASSES, CLASSES), 0.1 / CLASSES) + np.eye(CLASSES) * 0.9  # smoothing 0.1
targets = (onehot[first] * share + onehot[second] * (1 - share)).astype(np.float32)
losses, norms, lrs = [], [], []
for step in range(STEPS):
    lr = LR * step / WARMUP if step < WARMUP else MIN_LR + (LR - MIN_LR) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))
    for g in opt.param_groups:
        g["lr"] = lr * g["scale"]
    x = (torch.from_numpy(pixels[step]).double().permute(0, 3, 1, 2) - 0.5) / 0.5
    loss = -(torch.from_numpy(targets[step]).double() * torch.log_softmax(model(x), 1)).sum(1).mean()
    opt.zero_grad()
    loss.backward()
    norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)))
    losses.append(loss.item())
    lrs.append(lr)
    opt.step()

meta = {"format": "pt", "img_h": "8", "img_w": "8", "channels": "3", "patch_size": "4", "embed_dim": "16", "depth": str(DEPTH), "num_heads": "2",
        "mlp_dim": "64", "mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5"}
encoder = {k: v for k, v in start.items() if not k.startswith(("head.", "fc_norm."))}
encoder["norm.weight"], encoder["norm.bias"] = np.ones(16, np.float32), np.zeros(16, np.float32)  # a pre-trained encoder has one; it is not used
save_file(encoder, f"{OUT}/encoder.safetensors", meta)
end = {k: v.detach().numpy().astype(np.float32) for k, v in model.state_dict().items()}
steps = {"pixels": pixels, "targets": targets, "losses": np.array(losses, np.float32), "norms": np.array(norms, np.float32)}
steps |= {f"start.{k}": start[k] for k in ("head.weight", "head.bias", "fc_norm.weight", "fc_norm.bias")}
steps |= {f"end.{k}": end[k] for k in ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.bias",
                                       "fc_norm.weight", "head.weight")}
save_file({k: np.ascontiguousarray(v) for k, v in steps.items()}, f"{OUT}/steps.safetensors")
print("losses", losses, "\nnorms", norms)

table = torch.from_numpy(rng.standard_normal((1, 1 + 4 * 6, 5)).astype(np.float32))
tables = {"from_4x6": table.numpy()}
for h, w in ((7, 9), (2, 3), (4, 6), (6, 4), (1, 13)):
    tables[f"to_{h}x{w}"] = resample_abs_pos_embed(table, new_size=[h, w], old_size=[4, 6], num_prefix_tokens=1).numpy()
save_file({k: np.ascontiguousarray(v) for k, v in tables.items()}, f"{OUT}/tables.safetensors")
