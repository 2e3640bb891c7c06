"""Golden values for the compute ops of downstream tasks, computed by PyTorch and torchvision in double.

    python3 -m venv v && v/bin/pip install torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
    v/bin/python tools/golden/ops_tasks.py > tests/golden/ops2/ops2.txt

Inputs and scalars are f32 numbers, so that every back end starts from the same. Only the weights of sums of rows are not: they are
written here from the definitions (align_corners=False; the sampling points of RoIAlign), and what the library computes from pixels
must come out of the sums. One line a tensor: name, count, values.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)


def f32(x):
    return float(np.float32(x))


def draw(*shape, scale=1.0, shift=0.0):
    return (torch.randn(*shape) * scale + shift).to(torch.float32).to(torch.float64)


def put(name, t):
    v = torch.as_tensor(t).detach().reshape(-1).tolist()
    print(name, len(v), " ".join(repr(int(x)) if float(x).is_integer() and abs(x) < 1e6 else "%.10g" % x for x in v))


def leaf(t):
    return t.clone().requires_grad_(True)


# ---- sums of rows: pixels are rows of channels ----
def as_rows(t):  # [B,C,H,W] -> [B,H*W,C]
    return t.flatten(2).transpose(1, 2)


def corners(y, x, h, w):
    """The four pixels around (y, x), which lies inside the picture, and their shares."""
    y0, x0 = min(int(math.floor(y)), h - 1), min(int(math.floor(x)), w - 1)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    fy, fx = y - y0, x - x0
    return [(y0 * w + x0, (1 - fy) * (1 - fx)), (y0 * w + x1, (1 - fy) * fx), (y1 * w + x0, fy * (1 - fx)), (y1 * w + x1, fy * fx)]


# Bilinear resizing up and down
for name, (h, w), (oh, ow) in [("up", (3, 4), (7, 6)), ("down", (6, 5), (4, 2))]:
    pixels = leaf(draw(2, 5, h, w))
    out = F.interpolate(pixels, size=(oh, ow), mode="bilinear", align_corners=False)
    dy = draw(2, oh * ow, 5)
    as_rows(out).backward(dy)
    rows = []
    for i in range(oh):
        for j in range(ow):
            y, x = max((i + 0.5) * h / oh - 0.5, 0), max((j + 0.5) * w / ow - 0.5, 0)
            rows.append(corners(y, x, h, w))
    put(name + ".x", as_rows(pixels))
    put(name + ".idx", [[k for k, _ in r] for r in rows])
    put(name + ".weight", [[s for _, s in r] for r in rows])
    put(name + ".out", as_rows(out))
    put(name + ".dout", dy)
    put(name + ".dx", as_rows(pixels.grad))

# RoIAlign, aligned, 2 x 2 bins of 2 x 2 points; boxes differ by picture, one reaches far over the border
B, C, H, W, BINS, POINTS = 2, 3, 5, 6, 2, 2
SCALE = 0.5
boxes = torch.tensor([[[0.5, 1.0, 8.0, 7.5], [-6.0, 3.0, 5.0, 14.0]], [[2.25, 0.0, 11.5, 9.75], [4.0, 4.0, 5.0, 6.0]]])
pixels = leaf(draw(B, C, H, W))
out = torchvision.ops.roi_align(pixels, list(boxes), BINS, spatial_scale=SCALE, sampling_ratio=POINTS, aligned=True)
out = torch.stack([as_rows(o).reshape(-1, C) for o in out.reshape(B, 2, C, BINS, BINS)])
dy = draw(B, 2 * BINS * BINS, C)
out.backward(dy)
idx, weight = [], []
for b in range(B):
    for x0, y0, x1, y1 in (boxes[b] * SCALE - 0.5).tolist():
        for i in range(BINS):
            for j in range(BINS):
                for p in range(POINTS):
                    for q in range(POINTS):
                        y = y0 + (i + (p + 0.5) / POINTS) * (y1 - y0) / BINS
                        x = x0 + (j + (q + 0.5) / POINTS) * (x1 - x0) / BINS
                        if y < -1 or y > H or x < -1 or x > W:  # such a point is nothing
                            idx += [-1] * 4
                            weight += [1] * 4
                            continue
                        found = corners(min(max(y, 0), H - 1), min(max(x, 0), W - 1), H, W)
                        idx += [k for k, _ in found]
                        weight += [s / POINTS ** 2 for _, s in found]
assert -1 in idx
for n, t in dict(x=as_rows(pixels), idx=idx, weight=weight, out=out, dout=dy, dx=as_rows(pixels.grad)).items():
    put("roi." + n, t)

# The sum over 3 x 3 neighbourhoods: weights are absent, what lies outside is below 0
pixels = leaf(draw(2, 4, 4, 3))
out = F.avg_pool2d(pixels, 3, stride=1, padding=1, divisor_override=1)
dy = draw(2, 12, 4)
as_rows(out).backward(dy)
near = [[(y + i) * 3 + x + j if 0 <= y + i < 4 and 0 <= x + j < 3 else -1 for i in (-1, 0, 1) for j in (-1, 0, 1)]
        for y in range(4) for x in range(3)]
for n, t in dict(x=as_rows(pixels), idx=near, out=as_rows(out), dout=dy, dx=as_rows(pixels.grad)).items():
    put("pool." + n, t)

# Stochastic depth: a branch dropped, kept, and kept twice as large
x, y, dy, s = leaf(draw(3, 2, 5)), leaf(draw(3, 2, 5)), draw(3, 2, 5), torch.tensor([0.0, 1.0, 2.0])
out = x + s[:, None, None] * y
out.backward(dy)
for n, t in dict(x=x, y=y, s=s, out=out, dout=dy, dy=y.grad).items():
    put("depth." + n, t)

# ---- cross-entropy ----
SCALE = f32(0.3)
R, C = 6, 9
logits = leaf(draw(R, C, scale=3))
share = torch.rand(R, 1).to(torch.float32).to(torch.float64)
mixed = share * F.one_hot(torch.randint(0, C, (R,)), C) + (1 - share) * F.one_hot(torch.randint(0, C, (R,)), C)
target = (0.9 * mixed + 0.1 / C).to(torch.float32).to(torch.float64)
target[3] *= 0.5  # shares need not sum to 1
row = F.cross_entropy(logits, target, reduction="none")
(SCALE * row.sum()).backward()
for n, t in dict(logits=logits, target=target, row_loss=row, dlogits=logits.grad).items():
    put("soft." + n, t)

labels = torch.tensor([4, 0, -100, 8, 2, 4])
class_weight = (torch.rand(C) * 2).to(torch.float32).to(torch.float64)
for name, w in [("hard", None), ("weighted", class_weight)]:
    logits.grad = None
    row = F.cross_entropy(logits, labels, weight=w, ignore_index=-100, reduction="none")
    (SCALE * row.sum()).backward()
    put(name + ".row_loss", row)
    put(name + ".dlogits", logits.grad)
put("hard.labels", labels)
put("weighted.class_weight", class_weight)

# ---- focal loss; gamma 0 and alpha -1 is binary cross-entropy ----
x = leaf(torch.cat([draw(4, 7, scale=2.5), torch.tensor([[-30.0, 30.0, -12.0, 12.0, 0.0, 50.0, -50.0]])]))
hard = (torch.rand(5, 7) < 0.4).to(torch.float64)
hard[4] = torch.tensor([1.0, 1, 1, 0, 0, 0, 1])
soft = torch.rand(5, 7).to(torch.float32).to(torch.float64)
weight = torch.tensor([1.0, 0.5, 0.0, 2.0, 1.0])
put("focal.x", x)
put("focal.weight", weight)
put("focal.hard", hard)
put("focal.soft", soft)
for name, t, gamma, alpha in [("usual", hard, 2, 0.25), ("soft", soft, f32(1.5), 0.75), ("bce", soft, 0, -1), ("half", hard, 1, -1)]:
    x.grad = None
    loss = torchvision.ops.sigmoid_focal_loss(x, t, alpha=alpha, gamma=gamma, reduction="none")
    if name == "bce":
        loss = F.binary_cross_entropy_with_logits(x, t, reduction="none")
    row = weight * loss.sum(1)
    (SCALE * row.sum()).backward()
    put("focal.%s_loss" % name, row)
    put("focal.%s_dx" % name, x.grad)

# ---- generalised IoU, no epsilon; the fifth overhangs on no side, the sixth is clipped, the seventh does not count ----
x = leaf(torch.cat([draw(5, 4, scale=0.7, shift=1), torch.tensor([[9.0, 1, 2, 8.5]]), draw(2, 4)]))
target = torch.exp(draw(8, 4, scale=0.7, shift=1)).to(torch.float32).to(torch.float64)
target[4] = torch.exp(x[4].detach() + 0.5).to(torch.float32).to(torch.float64)
target[2, 1] = 0
weight = torch.tensor([1.0, 0.5, 1.0, 2.0, 1.0, 1.0, 0.0, 1.0])


def box(d):  # left, top, right, bottom of a point, as corners
    return torch.cat([-d[:, :2], d[:, 2:]], dim=1)


row = weight * torchvision.ops.generalized_box_iou_loss(box(torch.exp(x.clamp(max=8))), box(target), reduction="none", eps=0)
(SCALE * row.sum()).backward()
for n, t in dict(x=x, target=target, weight=weight, row_loss=row, dx=x.grad).items():
    put("giou." + n, t)
