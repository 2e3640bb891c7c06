"""Golden heads: outputs, and gradients of every parameter and of every level, by autograd.

Made with: Python 3.11, numpy 2.4.6, torch 2.15.0, torchvision 0.29.2, safetensors 0.8.0
Run:       python tools/golden/heads.py tests/golden/heads

Everything is computed in double from numbers rounded to f32. The networks are written with torch's own operators (conv2d, conv_transpose2d, interpolate,
layer_norm, torchvision's roi_align), not with tables: parameters are brought to their layouts here.
"""
import sys
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torchvision.ops import roi_align

B, GH, GW, D, DEPTH, W, C = 2, 2, 3, 12, 5, 8, 3  # pictures, grid, width of the encoder, blocks, width of the head, classes
L, EPS = GH * GW, 1e-6
rng = np.random.default_rng(20240601)


def draw(*dim, scale=1.0, shift=0.0):
    x = (rng.standard_normal(dim) * scale + shift).astype(np.float32)
    return torch.tensor(x).double().requires_grad_(True)


class Params(dict):
    def linear(self, name, n_out, n_in):
        self[name + ".weight"], self[name + ".bias"] = draw(n_out, n_in, scale=0.3), draw(n_out, scale=0.3)

    def norm(self, name, n):
        self[name + ".weight"], self[name + ".bias"] = draw(n, scale=0.2, shift=1), draw(n, scale=0.3)

    def lin(self, name, x):
        return F.linear(x, self[name + ".weight"], self[name + ".bias"])

    def ln(self, name, x):
        w = self[name + ".weight"]
        return F.layer_norm(x, (w.numel(),), w, self[name + ".bias"], EPS)

    def conv(self, name, x):  # x [B,C,H,W]; weight columns (ky, kx, channel)
        w = self[name + ".weight"]
        w = w.reshape(w.shape[0], 3, 3, -1).permute(0, 3, 1, 2)
        return F.conv2d(x, w, self[name + ".bias"], padding=1)

    def up(self, name, x):  # rows (dy, dx, channel)
        w, b = self[name + ".weight"], self[name + ".bias"]
        n = w.shape[0] // 4
        y = F.conv_transpose2d(x, w.reshape(2, 2, n, -1).permute(3, 2, 0, 1), stride=2)
        return y + b.reshape(2, 2, n).permute(2, 0, 1).repeat(1, y.shape[2] // 2, y.shape[3] // 2)


def grid(x, gh, gw):  # [B,N,C] -> [B,C,gh,gw]
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], gh, gw)


def rows(x):  # and back
    return x.flatten(2).transpose(1, 2)


def last_norm(p, name, x):
    return rows_to(p.ln(name, x.permute(0, 2, 3, 1)))


def rows_to(x):
    return x.permute(0, 3, 1, 2)


def tower(p, name, x):
    for i in range(2):
        x = F.gelu(last_norm(p, f"{name}.{i}.norm", p.conv(f"{name}.{i}.conv", x)))
    return x


def write(name, p, ins, outs, extra=None):
    douts = [torch.tensor(rng.standard_normal(tuple(o.shape)).astype(np.float32)).double() for o in outs]
    sum((o * g).sum() for o, g in zip(outs, douts)).backward()
    f = {}
    for k, v in p.items():
        f["p." + k], f["g." + k] = v, v.grad
    for i, x in enumerate(ins):
        f[f"in.{i}"], f[f"din.{i}"] = x, x.grad
    for i, (o, g) in enumerate(zip(outs, douts)):
        f[f"out.{i}"], f[f"dout.{i}"] = o, g
    f.update(extra or {})
    f = {k: np.ascontiguousarray(v.detach().numpy().astype(np.float32)) for k, v in f.items()}
    save_file(f, f"{sys.argv[1]}/{name}.safetensors")
    print(name, sum(v.nbytes for v in f.values()))


def levels(n):
    return [draw(B, 1 + L, D, scale=1 + i) for i in range(n)]


for name, norm in (("class_cls", "norm"), ("class_mean", "fc_norm"), ("seg_linear", "norm")):
    p, (x,) = Params(), levels(1)
    p.norm(norm, D)
    p.linear("head", C, D)
    y = x[:, :1] if name == "class_cls" else x[:, 1:].mean(1, keepdim=True) if name == "class_mean" else x[:, 1:]
    write(name, p, [x], [p.lin("head", p.ln(norm, y))])

p, xs = Params(), levels(4)
for i in range(4):
    p.norm(f"head.levels.{i}.norm", D)
    p.linear(f"head.levels.{i}.proj", W, D)
    p[f"head.fuse.{i}.weight"] = draw(W, W, scale=0.3)
p["head.fuse.bias"] = draw(W, scale=0.3)
p.linear("head.classes", C, W)
y = torch.cat([p.lin(f"head.levels.{i}.proj", p.ln(f"head.levels.{i}.norm", x[:, 1:])) for i, x in enumerate(xs)], 2)
y = F.gelu(F.linear(y, torch.cat([p[f"head.fuse.{i}.weight"] for i in range(4)], 1), p["head.fuse.bias"]))
y = F.interpolate(grid(y, GH, GW), scale_factor=2, mode="bilinear", align_corners=False)
write("seg_mlp", p, xs, [p.lin("head.classes", rows(y))])

p, (x,) = Params(), levels(1)
p.norm("head.norm", D)
p.linear("head.up", 4 * W, D)
p.norm("head.up_norm", W)
for t in ("cls", "box"):
    for i in range(2):
        p.linear(f"head.{t}.{i}.conv", W, 9 * W)
        p.norm(f"head.{t}.{i}.norm", W)
for t, n in (("cls", C), ("box", 4), ("centre", 1)):
    p.linear(f"head.{t}_pred", n, 9 * W)
feat = F.gelu(last_norm(p, "head.up_norm", p.up("head.up", grid(p.ln("head.norm", x[:, 1:]), GH, GW))))
cls, box = tower(p, "head.cls", feat), tower(p, "head.box", feat)
write("detect", p, [x], [rows(p.conv("head.cls_pred", cls)), rows(p.conv("head.box_pred", box)), rows(p.conv("head.centre_pred", box)), rows(feat)])

W, C = 4, 2
p, x = Params(), draw(B, 4 * L, W)
for i in range(2):
    p.linear(f"head.mask.{i}.conv", W, 9 * W)
    p.norm(f"head.mask.{i}.norm", W)
p.linear("head.mask.up", 4 * W, W)
p.linear("head.mask.classes", C, W)
# inside; over three edges and more than a cell beyond; without height; the whole grid
boxes = torch.tensor([[[0.3, 0.7, 3.1, 2.9], [-3.0, -2.5, 7.5, 1.2]], [[2.5, 1.5, 5.25, 1.5], [0, 0, 2 * GW, 2 * GH]]], dtype=torch.float64)
roi = roi_align(grid(x, 2 * GH, 2 * GW), [boxes[0].double(), boxes[1].double()], 14, spatial_scale=1.0, sampling_ratio=2, aligned=True)
y = F.gelu(p.up("head.mask.up", tower(p, "head.mask", roi)))
write("mask_branch", p, [x], [p.lin("head.mask.classes", rows(y))], {"boxes": boxes})
