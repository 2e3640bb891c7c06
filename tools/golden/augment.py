"""Golden files of tests/unit/data/test_augment.c: torchvision's RandomResizedCrop and Pillow's resize.

Made with Python 3.11, torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0, numpy 2.4.6:
    python tools/golden/augment.py tests/golden/augment
"""
import hashlib, math, os, sys
import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import RandomResizedCrop

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(0)
ratio = (3 / 4, 4 / 3)


def params(w, h, lo, hi):
    i, j, ch, cw = RandomResizedCrop.get_params(torch.empty(1, h, w), (lo, hi), ratio)
    return int(j), int(i), int(cw), int(ch)


# 1. Moments of x, y, width, height over many draws.
N = 40000
with open(f"{out}/moments.csv", "w") as f:
    f.write("w,h,crop_min,crop_max,n,mean_x,mean_y,mean_w,mean_h,std_x,std_y,std_w,std_h,mean_area,corr_wh\n")
    for w, h, lo, hi in [(64, 64, .2, 1), (500, 375, .2, 1), (500, 375, .08, 1), (96, 200, .2, 1), (90, 20, .2, 1), (224, 224, .9, 1), (5, 4, .2, .6)]:
        v = np.array([params(w, h, lo, hi) for _ in range(N)], float)
        row = list(v.mean(0)) + list(v.std(0)) + [(v[:, 2] * v[:, 3]).mean() / (w * h), np.corrcoef(v[:, 2], v[:, 3])[0, 1]]
        f.write(f"{w},{h},{lo},{hi},{N}," + ",".join(f"{x:.6f}" for x in row) + "\n")

# 2. Pictures so long that no try fits: the fallback alone.
with open(f"{out}/fallback.csv", "w") as f:
    f.write("w,h,x,y,cw,ch\n")
    for w, h in [(1000, 10), (10, 1000), (999, 33), (33, 999), (401, 7), (7, 402), (100, 1), (1, 100)]:
        seen = {params(w, h, .5, 1) for _ in range(200)}
        assert len(seen) == 1, (w, h, seen)
        f.write(f"{w},{h}," + ",".join(map(str, seen.pop())) + "\n")


# 3. Crop, bicubic, flip; and the evaluation transform as one box. The picture is a formula that the test repeats.
def picture(w, h):
    y, x, k = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    return Image.fromarray(((x * 7 + y * 13 + k * 50 + (x * y) % 31 * 5 + (x // 9 + y // 7) % 2 * 90) % 256).astype(np.uint8))


with open(f"{out}/resample.csv", "w") as f:
    f.write("kind,w,h,x0,y0,x1,y1,flip,in_w,in_h,sha256,first_bytes\n")

    def line(kind, w, h, box, flip, im):
        b = im.tobytes()
        f.write(f"{kind},{w},{h}," + ",".join(repr(float(v)) for v in box) + f",{flip},{im.width},{im.height},{hashlib.sha256(b).hexdigest()},{b[:24].hex()}\n")

    for w, h, box, flip, size in [(96, 80, (5, 7, 60, 71), 0, 24), (96, 80, (5, 7, 60, 71), 1, 24), (96, 80, (0, 0, 96, 80), 1, 32), (96, 80, (70, 3, 91, 22), 0, 64), (640, 480, (31, 2, 420, 460), 1, 224)]:
        im = picture(w, h).crop(box).resize((size, size), Image.BICUBIC)
        line("crop", w, h, box, flip, im.transpose(Image.FLIP_LEFT_RIGHT) if flip else im)
    for w, h, iw, ih in [(96, 80, 64, 64), (80, 96, 64, 64), (500, 375, 224, 224), (375, 500, 224, 224), (300, 300, 112, 112), (640, 480, 96, 64), (32, 32, 32, 32)]:
        share = 0.875 if min(iw, ih) > 96 else 1.0
        scale = max(iw / w, ih / h) / share  # short side to size / share
        bw, bh = iw / scale, ih / scale
        bw, bh = (round(bw, 9), round(bh, 9))
        box = ((w - bw) / 2, (h - bh) / 2, (w + bw) / 2, (h + bh) / 2)
        line("eval", w, h, box, 0, picture(w, h).resize((iw, ih), Image.BICUBIC, box=box))

with open(f"{out}/HOW", "w") as f:
    f.write(f"tools/golden/augment.py, torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}, numpy {np.__version__}\n"
            "moments.csv   RandomResizedCrop.get_params, moments over n draws; compared within 6 standard errors\n"
            "fallback.csv  the same where no try can fit; compared exactly\n"
            "resample.csv  crop: Image.crop, resize bicubic, flip; eval: Image.resize with box; compared bit by bit (SHA-256; first bytes to look at)\n")
