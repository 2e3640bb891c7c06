"""Golden files of tests/unit/data/test_patch_labels.c: label maps cropped and resized by Pillow, majorities by NumPy.

Made with Python 3.11, Pillow 13.0.0, numpy 2.4.6:
    python tools/golden/patch_labels.py tests/golden/patch_labels
"""
import os, sys
import numpy as np
import PIL
from PIL import Image

out = sys.argv[1]
os.makedirs(out, exist_ok=True)


# The map is a formula that the test repeats: regions of several sizes, and some noise.
def label_map(w, h, wide):
    y, x = np.meshgrid(np.arange(h), np.arange(w), indexing="ij")
    v = (x // 9 + 3 * (y // 7)) % 5 + np.where((x * 7 + y * 13 + (x * y) % 31) % 11 == 0, 3, 0)
    v = np.where((x // 16 + y // 12) % 4 == 3, 11, v)
    # int32: Pillow samples its 16-bit mode by another formula than all others, which differs where a centre falls on a pixel's edge
    return Image.fromarray((v * 300).astype(np.int32)) if wide else Image.fromarray(v.astype(np.uint8))


def majorities(v, known, gh, gw):
    h, w = v.shape
    a = np.full((gh, gw), -1)
    for i in range(gh):
        for j in range(gw):
            s = np.s_[i * h // gh:(i + 1) * h // gh, j * w // gw:(j + 1) * w // gw]
            ids, n = np.unique(v[s][known[s]], return_counts=True)
            if len(ids):
                a[i, j] = ids[np.argmax(n)]  # the first of the largest: the lowest id
    return a


n = 0
with open(f"{out}/patch_labels.txt", "w") as f:
    def line(kind, w, h, wide, box, flip, iw, ih, gw, gh, ignore, a):
        global n
        n += 1
        f.write(f"{kind} {w} {h} {wide} " + " ".join(repr(float(b)) for b in box) + f" {flip} {iw} {ih} {gw} {gh} {ignore} : " + " ".join(map(str, a.ravel())) + "\n")

    crops = [(96, 80, (5, 7, 60, 71), 0, 24, 24, 6, 6), (96, 80, (5, 7, 60, 71), 1, 24, 24, 6, 6), (96, 80, (0, 0, 96, 80), 1, 64, 64, 8, 8), (96, 80, (70, 3, 91, 22), 0, 64, 64, 8, 8),
             (240, 180, (31, 2, 201, 160), 1, 64, 48, 8, 6), (240, 180, (0, 17, 187, 180), 0, 56, 56, 14, 14), (33, 21, (1, 1, 32, 20), 1, 32, 32, 4, 4), (7, 5, (2, 1, 6, 5), 0, 16, 16, 4, 4)]
    for w, h, box, flip, iw, ih, gw, gh in crops:
        for wide in (0, 1):
            for ignore in (-1, 3300 if wide else 11):
                v = np.asarray(label_map(w, h, wide).crop(box).resize((iw, ih), Image.NEAREST)).astype(int)
                if flip:
                    v = v[:, ::-1]
                line("crop", w, h, wide, box, flip, iw, ih, gw, gh, ignore, majorities(v, v != ignore, gh, gw))
    for w, h, iw, ih, gw, gh in [(96, 80, 64, 64, 8, 8), (80, 96, 64, 64, 8, 8), (240, 180, 112, 112, 14, 14), (180, 240, 96, 64, 12, 8), (64, 64, 64, 64, 8, 8)]:
        share = 0.875 if min(iw, ih) > 96 else 1.0
        scale = max(iw / w, ih / h) / share  # short side to size / share
        bw, bh = round(iw / scale, 9), round(ih / scale, 9)
        box = ((w - bw) / 2, (h - bh) / 2, (w + bw) / 2, (h + bh) / 2)
        v = np.asarray(label_map(w, h, 0).resize((iw, ih), Image.NEAREST, box=box)).astype(int)
        line("crop_fit", w, h, 0, box, 0, iw, ih, gw, gh, 11, majorities(v, v != 11, gh, gw))
        v = np.asarray(label_map(w, h, 0).resize((iw, ih), Image.NEAREST)).astype(int)
        line("stretch", w, h, 0, (0, 0, w, h), 0, iw, ih, gw, gh, 11, majorities(v, v != 11, gh, gw))
        scale = min(iw / w, ih / h)
        rw, rh = min(iw, max(1, round(w * scale))), min(ih, max(1, round(h * scale)))
        v, known = np.zeros((ih, iw), int), np.zeros((ih, iw), bool)
        x, y = (iw - rw) // 2, (ih - rh) // 2
        v[y:y + rh, x:x + rw] = np.asarray(label_map(w, h, 0).resize((rw, rh), Image.NEAREST))
        known[y:y + rh, x:x + rw] = True
        line("pad", w, h, 0, (0, 0, w, h), 0, iw, ih, gw, gh, 11, majorities(v, known & (v != 11), gh, gw))

with open(f"{out}/HOW", "w") as f:
    f.write(f"tools/golden/patch_labels.py, Pillow {PIL.__version__}, numpy {np.__version__}\n"
            f"patch_labels.txt  {n} cases: kind, map size, 16 bits or 8, box, flip, input size, grid, value ignored : label of each patch.\n"
            "The map is a formula. Image.crop, Image.resize NEAREST, flip, then the most frequent value of each patch (numpy.unique); compared exactly.\n")
