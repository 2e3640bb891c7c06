"""Golden files of tests/unit/data/test_rand_augment.c and test_mix.c: RandAugment's operations and levels, colour jitter,
mixup and cutmix, random erasing.

Made with Python 3.11, timm 1.0.31, torch 2.15.0, torchvision 0.29.2, Pillow 13.0.0, numpy 2.4.6:
    python tools/golden/randaug.py tests/golden/randaug
"""
import hashlib, os, random, sys
import numpy as np
import torch
import torchvision.transforms.functional as F
from PIL import Image
from timm.data import auto_augment as aa, random_erasing
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


def picture(w, h, kind):
    """Formulas that the tests repeat. Kind 0: all values; 1: a narrow range, one channel flat; 2: mostly one value."""
    y, x, k = np.meshgrid(np.arange(h), np.arange(w), np.arange(3), indexing="ij")
    v = x * 7 + y * 13 + k * 50 + (x * y) % 31 * 5 + (x // 9 + y // 7) % 2 * 90
    if kind == 0:
        v = v % 256
    elif kind == 1:
        v = np.where(k == 1, 77, 60 + v % (90 + k * 10))
    else:
        v = np.where((x + 2 * y) % 5 == 0, v % 256, 200)
    return Image.fromarray(v.astype(np.uint8))


# 1. What a level means.
NAMES = aa._RAND_INCREASING_TRANSFORMS
real_random = random.random
with open(f"{out}/levels.csv", "w") as f:
    f.write("op,level,negate,arg\n")
    for name in NAMES:
        fn = aa.LEVEL_TO_ARG[name]
        for level in (0, 0.37, 2.5, 5, 7.3, 9, 9.81, 10):
            for negate in (0, 1):
                random.random = lambda: 0.9 if negate else 0.1
                arg = fn(level, aa._HPARAMS_DEFAULT)[0] if fn else 0
                f.write(f"{name},{level},{negate},{float(arg)!r}\n")
random.random = real_random

# 2. What an operation does: pixels of small pictures, a hash and the first bytes of larger ones.
#    Posterize to 0 bits (level 10) is left out: Pillow 13 refuses it, earlier ones gave black.
ARGS = {"Rotate": (0.0, 4.5, -27.0, 30.0, -30.0), "PosterizeIncreasing": (1, 2, 3, 4), "SolarizeIncreasing": (0, 26, 130, 256),
        "SolarizeAdd": (0, 99, 110), "ColorIncreasing": (0.1, 0.19, 1.0, 1.81, 1.9), "ContrastIncreasing": (0.1, 0.55, 1.0, 1.81),
        "BrightnessIncreasing": (0.1, 0.7, 1.0, 1.9), "SharpnessIncreasing": (0.1, 0.5, 1.0, 1.81), "ShearX": (0.27, -0.3, 0.0),
        "ShearY": (0.27, -0.113), "TranslateXRel": (0.405, -0.17, 0.0), "TranslateYRel": (0.45, -0.033)}
KW = dict(fillcolor=(128, 128, 128), resample=Image.Resampling.BILINEAR)
with open(f"{out}/operations.txt", "w") as f:
    for name in NAMES:
        for arg in ARGS.get(name, (0,)):
            for w, h, kind in ((9, 7, 0), (8, 5, 1), (47, 61, 0), (64, 40, 1), (33, 52, 2), (2, 2, 0)):
                args = (arg,) if name in ARGS else ()
                im = aa.NAME_TO_OP[name](picture(w, h, kind), *args, **dict(KW)).tobytes()
                small = w < 10
                f.write(f"{name} {arg!r} {w} {h} {kind} {'pixels' if small else 'sha256'} {im.hex() if small else hashlib.sha256(im).hexdigest()}\n")

# 3. Colour jitter: on Pillow images, and on tensors where nothing is cut.
with open(f"{out}/jitter.txt", "w") as f:
    for op, fn in enumerate((F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)):
        for factor in (0.6, 0.83, 1.0, 1.4):
            for c in (1, 3):
                im = picture(11, 8, 0)
                b = fn(im.convert("L") if c == 1 else im, factor).tobytes()
                f.write(f"u8 {op} {factor} {c} 11 8 {b.hex()}\n")
    for op, fn in enumerate((F.adjust_brightness, F.adjust_contrast, F.adjust_saturation)):
        for factor in (0.8, 1.2):
            t = torch.from_numpy(np.asarray(picture(5, 4, 0)).astype(np.float32)).permute(2, 0, 1) / 1024 + 0.3
            r = fn(t, factor)
            assert 0 < r.min() and r.max() < 1
            f.write(f"f32 {op} {factor} 3 5 4 " + " ".join(f"{v:.9g}" for v in r.permute(1, 2, 0).flatten().tolist()) + "\n")

# 4. Mixing by a given lambda and box centre; targets with smoothing.
real_randint = np.random.randint
with open(f"{out}/mix.txt", "w") as f:
    n, c, h, w, classes = 4, 3, 5, 7, 6
    labels = torch.tensor([2, 0, 5, 2])
    for cut, lam, cy, cx, smooth in [(0, 0.7, 0, 0, 0.1), (0, 0.0312, 0, 0, 0.0), (1, 0.7, 2, 3, 0.1), (1, 0.3, 0, 6, 0.1), (1, 0.05, 4, 0, 0.2), (1, 0.999, 2, 2, 0.1), (0, 0.5, 0, 0, 0.1)]:
        i = torch.arange(n * h * w * c, dtype=torch.float32).reshape(n, h, w, c)
        x = ((i * 37) % 101 / 101 - 0.3).permute(0, 3, 1, 2).contiguous()
        m = Mixup(mixup_alpha=1, cutmix_alpha=1, label_smoothing=smooth, num_classes=classes)
        m._params_per_batch = lambda: (lam, bool(cut))
        centre = iter((cy, cx))
        np.random.randint = lambda lo, hi, size=None: np.asarray(next(centre))
        got, target = m(x.clone(), labels)
        np.random.randint = lambda lo, hi, size=None: np.asarray(next(centre))
        centre = iter((cy, cx))
        share = m._mix_batch(x.clone())
        np.random.randint = real_randint
        f.write(f"{cut} {lam} {cy} {cx} {smooth} {float(share)!r}\n")
        f.write(" ".join(f"{v:.9g}" for v in got.permute(0, 2, 3, 1).flatten().tolist()) + "\n")
        f.write(" ".join(f"{v:.9g}" for v in target.flatten().tolist()) + "\n")

# 5. Erasing: sides by area and aspect; moments of many draws.
real_uniform = random.uniform
rng = np.random.default_rng(0)
with open(f"{out}/erase_sizes.csv", "w") as f:
    f.write("h,w,share,aspect,eh,ew\n")
    for h, w in ((32, 48), (24, 24), (7, 90), (224, 224), (3, 3)):
        for _ in range(40):
            share, log_aspect = float(rng.uniform(0.02, 1 / 3)), float(rng.uniform(np.log(0.3), -np.log(0.3)))
            e = RandomErasing(probability=1, mode="pixel", device="cpu")
            draws = iter((share, log_aspect))
            random.uniform = lambda a, b: next(draws, None)
            im = torch.full((1, h, w), 99.0)
            try:
                e(im)
            except TypeError:  # the first try did not fit, and there is no second
                pass
            hit = (im[0] != 99).nonzero()
            eh, ew = ((hit.max(0).values - hit.min(0).values) + 1).tolist() if len(hit) else (0, 0)
            f.write(f"{h},{w},{share!r},{float(np.exp(log_aspect))!r},{eh},{ew}\n")
random.uniform = real_uniform
random.seed(1)
N = 20000


class Seen:  # what is erased, without pixels
    def __setitem__(self, at, pixels):
        v.append((at[1].start, at[2].start, at[1].stop - at[1].start, at[2].stop - at[2].start))


random_erasing._get_pixels = lambda *a, **k: None
with open(f"{out}/erase_moments.csv", "w") as f:
    f.write("h,w,n,share_erased,mean_top,mean_left,mean_h,mean_w,std_top,std_left,std_h,std_w\n")
    for h, w in ((32, 48), (24, 24), (7, 90)):
        e = RandomErasing(probability=0.25, mode="pixel", device="cpu")
        v = []
        for _ in range(N):
            e._erase(Seen(), 1, h, w, None)
        v = np.array(v, float)
        f.write(f"{h},{w},{N},{len(v) / N:.6f}," + ",".join(f"{q:.6f}" for q in list(v.mean(0)) + list(v.std(0))) + "\n")

with open(f"{out}/HOW", "w") as f:
    f.write("python tools/golden/randaug.py tests/golden/randaug\nVersions: in the head of the script.\n"
            "operations.txt   operation, argument, width, height, picture's formula, pixels or their SHA-256: timm's functions on Pillow\n"
            "                 images, fill 128, bilinear. Tolerance: none, every operation gives equal bytes.\n"
            "levels.csv       timm's argument of each operation at levels 0 to 10, both signs\n"
            "jitter.txt       torchvision's brightness (0), contrast (1), saturation (2): u8 equal bytes, f32 within 1e-6\n"
            "mix.txt          timm's Mixup in batch mode with given lambda and centre: pixels and targets within 1e-7\n"
            "erase_*.csv      timm's RandomErasing: sides by area and aspect (0: does not fit), moments of 20000 draws\n")
