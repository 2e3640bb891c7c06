"""Images a second of a masked-autoencoder training step in PyTorch on timm's Blocks: the peer of `ehm bench step`.

usage: bench_mae.py ti8_64|s16_224|b16_224|l16_224 [--dtype f32|bf16] [--compile] [--seconds S] [--device cpu|cuda] [--batch N]
The honest setting on a CPU is TIMM_FUSED_ATTN=0 (unfused attention) and tcmalloc preloaded; tools/bench_peers sets both. Random pixels, AdamW fused,
clipping as ehm does. Prints one JSON line: median, range and number of stretches (one step each).
On a GPU: input already there, bf16 by autocast, fused attention, --compile with CUDA graphs; each stretch is ten steps between two events.
"""
import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
from timm.models.vision_transformer import Block

# size, patch, width, depth, heads, decoder width, depth, heads, batch
CONFIGS = {"ti8_64": (64, 8, 192, 12, 3, 96, 4, 3, 128), "s16_224": (224, 16, 384, 12, 6, 512, 8, 16, 32), "b16_224": (224, 16, 768, 12, 12, 512, 8, 16, 16),
           "l16_224": (224, 16, 1024, 24, 16, 512, 8, 16, 8)}


class Mae(nn.Module):
    def __init__(self, size, patch, dim, depth, heads, ddim, ddepth, dheads):
        super().__init__()
        self.patch, self.n = patch, (size // patch) ** 2
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.cls, self.token = nn.Parameter(torch.randn(1, 1, dim) * 0.02), nn.Parameter(torch.randn(1, 1, ddim) * 0.02)
        self.pos = nn.Parameter(torch.randn(1, self.n + 1, dim) * 0.02, requires_grad=False)
        self.dpos = nn.Parameter(torch.randn(1, self.n + 1, ddim) * 0.02, requires_grad=False)
        norm = lambda d, **kw: nn.LayerNorm(d, eps=1e-6, **kw)
        self.blocks = nn.ModuleList(Block(dim, heads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        self.dblocks = nn.ModuleList(Block(ddim, dheads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(ddepth))
        self.norm, self.dnorm, self.dembed, self.pred = norm(dim), norm(ddim), nn.Linear(dim, ddim), nn.Linear(ddim, 3 * patch * patch)

    def forward(self, x):
        b, c, h, w = x.shape
        p, n = self.patch, self.n
        t = x.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(b, n, p * p * c)
        keep = n // 4
        order = torch.rand(b, n, device=x.device).argsort(1)
        restore = order.argsort(1)
        ids = order[:, :keep, None]
        v = self.embed(t.gather(1, ids.expand(-1, -1, t.shape[2]))) + self.pos[:, 1:].expand(b, -1, -1).gather(1, ids.expand(-1, -1, self.pos.shape[2]))
        v = torch.cat([(self.cls + self.pos[:, :1]).expand(b, -1, -1), v.to(self.cls.dtype)], 1)
        for k in self.blocks:
            v = k(v)
        v = self.dembed(self.norm(v))
        y = torch.cat([v[:, 1:], self.token.to(v.dtype).expand(b, n - keep, -1)], 1).gather(1, restore[:, :, None].expand(-1, -1, v.shape[2]))
        y = torch.cat([v[:, :1], y], 1) + self.dpos
        for k in self.dblocks:
            y = k(y)
        y = self.pred(self.dnorm(y))[:, 1:].float()
        t = (t - t.mean(-1, keepdim=True)) / (t.var(-1, keepdim=True) + 1e-6).sqrt()
        mask = (restore >= keep).float()
        return (((y - t) ** 2).mean(-1) * mask).sum() / mask.sum()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("config", choices=CONFIGS)
    a.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    a.add_argument("--compile", action="store_true")
    a.add_argument("--seconds", type=float, default=10)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    a.add_argument("--batch", type=int, default=0, help="0: as the configuration says")
    a = a.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    *cfg, batch = CONFIGS[a.config]
    batch = a.batch or batch
    gpu = a.device == "cuda"
    model = Mae(*cfg).to(a.device)
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    f = torch.compile(model, mode="reduce-overhead" if gpu else "default") if a.compile else model
    x = torch.randn(batch, 3, cfg[0], cfg[0], device=a.device)

    def step():
        opt.zero_grad(set_to_none=True)
        with torch.autocast(a.device, dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            loss = f(x)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 3.0)
        opt.step()
        return loss.detach()

    def stretch():
        if not gpu:
            t = time.perf_counter()
            float(step())
            return time.perf_counter() - t
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        for _ in range(10):
            step()
        last.record()
        last.synchronize()
        return first.elapsed_time(last) / 1e4

    for _ in range(5 if gpu else 2):
        float(step())
    seconds, t0 = [], time.perf_counter()
    while len(seconds) < 5 or time.perf_counter() - t0 < a.seconds:
        seconds.append(stretch())
    rate = [batch / s for s in seconds]
    peak = torch.cuda.max_memory_allocated() / 2**20 if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"images_per_s": statistics.median(rate), "lo": min(rate), "hi": max(rate), "n": len(rate), "peak_mib": peak}))


if __name__ == "__main__":
    main()
