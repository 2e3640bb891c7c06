"""Are the built-in scenes worth learning? A supervised ViT-Ti (192 wide, 12 blocks, 3 heads, patch 8 at 64 px) from random weights, in PyTorch.

    build/ehm data scenes:1:40000 --export scenes/train && build/ehm data scenes:2:2000 --export scenes/test
    python tools/peers/scenes_vit.py scenes/train scenes/test --minutes 14

Pinned versions: requirements.txt. Flips only, AdamW, warm-up 100 steps, cosine over the given minutes; test accuracy every half minute.
"""
import argparse
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

DIM, DEPTH, HEADS, PATCH, SIDE = 192, 12, 3, 8, 64


def load(folder):
    files = sorted(pathlib.Path(folder, "images").glob("*/*.png"))
    classes = sorted({f.parent.name for f in files})
    pixels = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])
    return torch.from_numpy(pixels), torch.tensor([classes.index(f.parent.name) for f in files]), classes


def patches(x):  # [B,64,64,3] u8 -> [B,64,192]
    g = SIDE // PATCH
    return x.view(-1, g, PATCH, g, PATCH, 3).permute(0, 1, 3, 2, 4, 5).reshape(len(x), g * g, -1).float().div(255).sub(0.5).mul(4)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.fc1, self.fc2 = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, DIM))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class ViT(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        n = (SIDE // PATCH) ** 2
        self.embed, self.pos = nn.Linear(PATCH * PATCH * 3, DIM), nn.Parameter(torch.randn(n, DIM) * 0.02)
        self.blocks = nn.Sequential(*[Block() for _ in range(DEPTH)])
        self.norm, self.head = nn.LayerNorm(DIM), nn.Linear(DIM, n_classes)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embed(x) + self.pos)).mean(1))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("train")
    p.add_argument("test")
    p.add_argument("--minutes", type=float, default=14)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=1e-3)
    a = p.parse_args()
    torch.manual_seed(0)
    x, y, classes = load(a.train)
    xt, yt, _ = load(a.test)
    model = ViT(len(classes))
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, weight_decay=0.05, betas=(0.9, 0.98))
    start, tested, n, seen, mark = time.time(), 0.0, 0, 0, 30
    while True:
        for i in torch.randperm(len(x)).split(a.batch):
            took = time.time() - start - tested
            for g in opt.param_groups:
                g["lr"] = a.lr * min(1, (n + 1) / 100) * max(0.02, 0.5 + 0.5 * math.cos(math.pi * min(1, took / 60 / a.minutes)))
            batch = x[i].flip(2) if torch.rand(1) < 0.5 else x[i]
            loss = F.cross_entropy(model(patches(batch)), y[i], label_smoothing=0.05)
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1)
            opt.step()
            n, seen = n + 1, seen + len(i)
            if took > mark or took > 60 * a.minutes:
                t = time.time()
                with torch.no_grad():
                    right = torch.cat([model(patches(c)).argmax(1) for c in xt.split(500)]).eq(yt).float().mean().item()
                print(f"{took / 60:.2f} min, {seen} views, loss {loss.item():.3f}, test {100 * right:.1f} %", flush=True)
                mark, tested = mark + 30, tested + time.time() - t
            if took > 60 * a.minutes:
                return


if __name__ == "__main__":
    main()
