"""Golden values of segmentation, from scikit-learn 1.9.1, PyTorch 2.15.0 and NumPy 2.4.6.

usage: python tools/golden/segment.py      (writes tests/golden/segment/*.txt)
Inputs are not stored: they come from formulas that the tests repeat (wave, whole below).
loss.txt: with and without class weights: the loss, then gradients of layer norm weight and bias, linear weight and bias, and tokens: layer_norm, linear,
  F.interpolate(bilinear, align_corners=False), F.cross_entropy(ignore_index=-1), in double.
scores.txt: a line a picture, then all: mean IoU over classes in the truth, accuracy, mean recall over classes in the truth, IoU of each class (nan: neither
  there nor predicted), from sklearn.metrics.confusion_matrix; then weights of median frequency balancing.
windows.txt: classes of pictures: windows with a stride or the whole, enlarged with F.interpolate, averaged, argmax; a line a picture: width, height, slide,
  stride, then a character a pixel.
"""
import os
import numpy as np
import sklearn
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix

assert (sklearn.__version__, np.__version__) == ("1.9.1", "2.4.6"), (sklearn.__version__, np.__version__)
assert torch.__version__.startswith("2.15."), torch.__version__
torch.set_default_dtype(torch.float64)


def wave(n, a, b):
    i = np.arange(n, dtype=np.float64)
    return np.sin(a * i + b) + 0.4 * np.cos(0.37 * i * i)


def whole(n, a, m):
    i = np.arange(n, dtype=np.int64)
    return (i * a + i * i % 31 + i // 7) % m


def line(v):
    return " ".join(f"{x:.9g}" for x in np.asarray(v).reshape(-1))


def loss():
    B, GH, GW, D, C, S = 3, 3, 4, 6, 5, 4
    out = []
    x = torch.tensor(wave(B * (1 + GH * GW) * D, 0.7, 0.1).astype(np.float32).astype(np.float64).reshape(B, 1 + GH * GW, D))
    labels = torch.tensor(whole(B * GH * S * GW * S, 13, C + 1).reshape(B, GH * S, GW * S) - 1)
    for weighted in (False, True):
        t = x.clone().requires_grad_()
        nw = torch.tensor((1 + 0.1 * wave(D, 1.1, 0.2)).astype(np.float32).astype(np.float64)).requires_grad_()
        nb = torch.tensor((0.1 * wave(D, 1.3, 0.3)).astype(np.float32).astype(np.float64)).requires_grad_()
        lw = torch.tensor(wave(C * D, 0.9, 0.4).astype(np.float32).astype(np.float64).reshape(C, D)).requires_grad_()
        lb = torch.tensor((0.1 * wave(C, 1.7, 0.5)).astype(np.float32).astype(np.float64)).requires_grad_()
        h = F.layer_norm(t[:, 1:], (D,), nw, nb, 1e-6)
        grid = F.linear(h, lw, lb).transpose(1, 2).reshape(B, C, GH, GW)
        big = F.interpolate(grid, size=(GH * S, GW * S), mode="bilinear", align_corners=False)
        cw = torch.tensor([0.5, 1.0, 2.0, 0.25, 3.0]) if weighted else None
        v = F.cross_entropy(big, labels, weight=cw, ignore_index=-1)
        v.backward()
        out.append(f"{v.item():.12g}")
        out += [line(p.grad.numpy()) for p in (nw, nb, lw, lb, t)]
    return out


def measures(m):
    truth, called, both = m.sum(1), m.sum(0), np.diag(m)
    either = truth + called - both
    iou = np.where(either > 0, both / np.maximum(either, 1), np.nan)
    there = truth > 0
    return [iou[there].mean(), both.sum() / truth.sum(), (both[there] / truth[there]).mean(), *iou]


def scores():
    N, P, C = 4, 150, 6
    out, total, beside, pixels = [], np.zeros((C, C), int), np.zeros(C), np.zeros(C)
    for i in range(N):
        t, p = whole(P, 11 + i, 5 + i % 2) - 1, whole(P, 17 + 3 * i, 5)
        p = np.where(whole(P, 5, 3) > 0, np.maximum(t, 0), p)
        t, p = np.where(t == 4, 0, t), np.where(p == 4, 5, p)  # class 4 is nowhere; class 5 is called, never there
        ok = t >= 0
        m = confusion_matrix(t[ok], p[ok], labels=range(C))
        out.append(line(measures(m)))
        total += m
        here = m.sum(1)
        pixels += here
        beside += np.where(here > 0, ok.sum(), 0)
    out.append(line(measures(total)))
    f = np.array([pixels[k] / beside[k] for k in range(C) if pixels[k]])
    out.append(line([np.median(f) * beside[k] / pixels[k] if pixels[k] else 0 for k in range(C)]))
    return out


def net(x, C, G):
    """Cells' mean colours, mixed into classes: any function of the input will do."""
    c = 6 * F.avg_pool2d(x, x.shape[-1] // G) - 3
    w = torch.tensor(wave(C * 3, 1.9, 0.7).reshape(C, 3))
    return torch.einsum("kc,bcyx->bkyx", w, c) + torch.tensor(0.05 * wave(C, 2.3, 0.2)).reshape(1, C, 1, 1)


def starts(side, size, stride):
    return [0] if side <= size else [min(i * stride, side - size) for i in range(-(-(side - size) // stride) + 1)]


def windows():
    I, G, C = 16, 4, 5
    out = []
    for w, h, slide, stride in ((40, 30, 1, 8), (37, 16, 1, 5), (11, 23, 1, 16), (16, 16, 0, 8), (8, 8, 1, 8)):
        x = torch.tensor((whole(w * h * 3, 37, 256) / 255.0).reshape(1, h, w, 3)).permute(0, 3, 1, 2)
        ch, cw = max(h, I), max(w, I)
        canvas = torch.full((1, 3, ch, cw), 128 / 255)
        y0, x0 = (ch - h) // 2, (cw - w) // 2
        canvas[:, :, y0:y0 + h, x0:x0 + w] = x
        total, times = torch.zeros(1, C, ch, cw), torch.zeros(1, 1, ch, cw)
        for y in starts(ch, I, stride):
            for xx in starts(cw, I, stride):
                v = net(canvas[:, :, y:y + I, xx:xx + I], C, G)
                total[:, :, y:y + I, xx:xx + I] += F.interpolate(v, size=(I, I), mode="bilinear", align_corners=False)
                times[:, :, y:y + I, xx:xx + I] += 1
        v = (total / times)[:, :, y0:y0 + h, x0:x0 + w]
        top = v.topk(2, 1).values
        assert (top[:, 0] - top[:, 1]).min() > 1e-6
        out.append(f"{w} {h} {slide} {stride}")
        out.append("".join(map(str, v.argmax(1).reshape(-1).tolist())))
    return out


os.makedirs("tests/golden/segment", exist_ok=True)
for name, make in (("loss", loss), ("scores", scores), ("windows", windows)):
    open(f"tests/golden/segment/{name}.txt", "w").write("\n".join(make()) + "\n")
open("tests/golden/segment/HOW", "w").write(__doc__)
