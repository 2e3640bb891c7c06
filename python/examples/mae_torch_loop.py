"""Someone's own PyTorch loop, with masks from ehm.

A small masked autoencoder learns generated pictures on the CPU, in well under a minute. Half the steps take masks of a rule that looks at
nothing (blobs, "color:green"). The other half take them from trees over the network's own attention: single patches at first, whole parts of
a picture in the end.

    pip install ./python torch
    python python/examples/mae_torch_loop.py
"""

import sys

import numpy as np
import torch
from torch import nn

import ehm

SIZE, PATCH, DIM, HEADS, BATCH, STEPS = 32, 4, 64, 4, 32, 40
GRID = (SIZE // PATCH, SIZE // PATCH)
N = GRID[0] * GRID[1]


def pictures(n: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth ground with three rectangles: [n, 32, 32, 3] of 0 to 1."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    out = np.empty((n, SIZE, SIZE, 3), np.float32)
    for i in range(n):
        a, b = rng.uniform(0.1, 0.6, 3), rng.uniform(-0.3, 0.3, 3)
        out[i] = a + b * (y if rng.random() < 0.5 else x)[..., None]
        for _ in range(3):
            top, left, h, w = rng.integers(0, SIZE - 8, 2).tolist() + rng.integers(6, 16, 2).tolist()
            out[i, top:top + h, left:left + w] = rng.uniform(0, 1, 3)
    return np.clip(out, 0, 1)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b, n, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        x = x + self.out((attention @ v).transpose(1, 2).reshape(b, n, -1))
        return x + self.mlp(self.norm2(x)), attention.mean(1)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.predict = nn.Linear(3 * PATCH * PATCH, DIM), nn.Linear(DIM, 3 * PATCH * PATCH)
        self.place = nn.Parameter(torch.randn(1, N, DIM) * 0.02)
        self.hidden = nn.Parameter(torch.zeros(1, 1, DIM))
        self.encoder, self.decoder = nn.ModuleList([Block(), Block()]), nn.ModuleList([Block()])

    def attention(self, patches: torch.Tensor) -> torch.Tensor:
        """[b, n, n]: what patches attend to, all of them visible, on average over the layers."""
        x, all_layers = self.embed(patches) + self.place, []
        for block in self.encoder:
            x, a = block(x)
            all_layers.append(a)
        return torch.stack(all_layers).mean(0)

    def loss(self, patches: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """masks [b, n] bool, True hidden, as many in each row: the encoder sees the others alone."""
        b = patches.shape[0]
        x = (self.embed(patches) + self.place)[~masks].reshape(b, -1, DIM)
        for block in self.encoder:
            x, _ = block(x)
        all_tokens = self.hidden.expand(b, N, DIM).clone()
        all_tokens[~masks] = x.reshape(-1, DIM)
        x = all_tokens + self.place
        for block in self.decoder:
            x, _ = block(x)
        return (self.predict(x) - patches)[masks].square().mean()


def similarity_of(attention: np.ndarray) -> np.ndarray:
    """[b, n, n]: how alike two patches are in what they attend to and in who attends to them, beyond what all pictures share."""
    own = attention - attention.mean(0)
    return np.stack([np.corrcoef(a) + np.corrcoef(a.T) for a in own])


def patches_of(px: np.ndarray) -> torch.Tensor:
    b = px.shape[0]
    t = torch.from_numpy(px).reshape(b, GRID[0], PATCH, GRID[1], PATCH, 3).permute(0, 1, 3, 2, 4, 5)
    return t.reshape(b, N, -1) - 0.5


def alike(masks: np.ndarray) -> float:
    """How often two neighbouring patches are both hidden or both visible: the coarser the masks, the more."""
    return float(np.concatenate([(masks[:, 1:] == masks[:, :-1]).ravel(), (masks[:, :, 1:] == masks[:, :, :-1]).ravel()]).mean())


def train(model: Autoencoder, name: str, masker: ehm.Masker, by_attention: bool, rng: np.random.Generator) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for step in range(STEPS):
        progress = step / (STEPS - 1)
        patches = patches_of(pictures(BATCH, rng))
        if by_attention:
            with torch.no_grad():
                masker.give(affinity=similarity_of(model.attention(patches).numpy()), symmetrise=True)
        masks = masker.draw(BATCH, progress, seed=1, epoch=step)
        loss = model.loss(patches, torch.from_numpy(masks.reshape(BATCH, N)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0 or step == STEPS - 1:
            print(f"{name:12} step {step:3}  progress {progress:.2f}  loss {losses[-1]:.4f}  neighbours alike {alike(masks):.2f}", flush=True)
    return losses


def main() -> int:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # for products as small as these, threads cost more than they give
    rng = np.random.default_rng(0)
    model = Autoencoder()
    print(f"ehm {ehm.__version__}, torch {torch.__version__}, {sum(p.numel() for p in model.parameters())} parameters")
    with ehm.Masker("color:green", GRID, ratio=0.75) as blobs:
        first = train(model, "color:green", blobs, False, rng)
    with ehm.Masker("ehm", GRID, ratio=0.75, k_end=6) as evolved:
        second = train(model, "ehm", evolved, True, rng)
    fell = np.mean(first[:5]) > np.mean(first[-5:]) > 0 and np.mean(second[-5:]) < np.mean(first[:5])
    print(f"loss {np.mean(first[:5]):.4f} -> {np.mean(first[-5:]):.4f} -> {np.mean(second[-5:]):.4f}: {'falls' if fell else 'does not fall'}")
    return 0 if fell else 1


if __name__ == "__main__":
    sys.exit(main())
