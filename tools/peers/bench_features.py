"""Images a second of feature extraction by timm's vision transformer: the peer of `ehm bench features`.

usage: bench_features.py ti8_64|s16_224|b16_224 [--dtype f32|bf16] [--compile] [--seconds S]
u8 pixels in, normalised and moved to channels first as a transform would, class token and mean of patch tokens out, no gradient. Attention as timm's Blocks
do it: unfused with TIMM_FUSED_ATTN=0, scaled_dot_product_attention otherwise (tools/bench_peers measures both). One JSON line: median, range, number of batches.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from timm.models.vision_transformer import VisionTransformer

# size, patch, width, depth, heads, batch
CONFIGS = {"ti8_64": (64, 8, 192, 12, 3, 128), "s16_224": (224, 16, 384, 12, 6, 32), "b16_224": (224, 16, 768, 12, 12, 16)}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("config", choices=CONFIGS)
    a.add_argument("--dtype", default="f32", choices=["f32", "bf16"])
    a.add_argument("--compile", action="store_true")
    a.add_argument("--seconds", type=float, default=10)
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    size, patch, dim, depth, heads, batch = CONFIGS[a.config]
    model = VisionTransformer(img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, num_classes=0, global_pool="token").eval()
    pixels = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)

    def features(px):
        x = (px.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        y = model.forward_features(x).float()
        return y[:, 0], y[:, 1:].mean(1)

    f = torch.compile(features) if a.compile else features

    def one():
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.dtype == "bf16"):
            cls, mean = f(pixels)
        return float(cls[0, 0] + mean[0, 0])

    one(), one()
    seconds, t0 = [], time.perf_counter()
    while len(seconds) < 5 or time.perf_counter() - t0 < a.seconds:
        t = time.perf_counter()
        one()
        seconds.append(time.perf_counter() - t)
    rate = [batch / s for s in seconds]
    print(json.dumps({"images_per_s": statistics.median(rate), "lo": min(rate), "hi": max(rate), "n": len(rate),
                      "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
