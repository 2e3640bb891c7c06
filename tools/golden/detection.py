"""Golden scores of detections: COCO's nine figures and AP by class, for boxes and for masks; and boxes that non-maximum suppression keeps.

Made with: Python 3.11, numpy 2.4.6, pycocotools 2.0.11, torch 2.15.0, torchvision 0.29.2
Run:       python tools/golden/detection.py tests/golden/detection

Truth and detections are random, with what is easily got wrong: crowds, classes without truth or without detections or with a crowd alone, equal scores
in and across pictures, areas of their own, more than 100 detections of a class in a picture, empty pictures, boxes and masks of a few pixels. Masks are unions of
rectangles, which the test paints itself. "weights": the same with each picture standing so often in the list.
"""
import contextlib
import io
import sys
import numpy as np
import torch
import torchvision
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

out = sys.argv[1]
W, H = 300, 240


def paint(rects):
    m = np.zeros((H, W), np.uint8)
    for x, y, w, h in rects:
        m[y:y + h, x:x + w] = 1
    return m


def score(entries, n_classes, n_images, masks, weights=None):
    weights = [1] * n_images if weights is None else weights
    images, truth, found = [], [], []
    for image, times in enumerate(weights):
        for _ in range(times):
            images.append({"id": len(images) + 1, "width": W, "height": H})
            for e in entries:
                if e["image"] != image:
                    continue
                a = {"image_id": len(images), "category_id": e["cls"] + 1}
                if masks:
                    a["segmentation"] = mask_utils.encode(np.asfortranarray(paint(e["rects"])))
                else:
                    a["bbox"] = [float(v) for v in e["box"]]
                if e["kind"] != "f":
                    a |= {"id": len(truth) + 1, "iscrowd": e["crowd"]}
                    a["area"] = e["area"] if e["kind"] == "a" else float(mask_utils.area(a["segmentation"])) if masks else a["bbox"][2] * a["bbox"][3]
                    truth.append(a)
                else:
                    found.append(a | {"score": e["score"]})
    gt = COCO()
    gt.dataset = {"images": images, "annotations": truth, "categories": [{"id": k + 1, "name": str(k)} for k in range(n_classes)]}
    with contextlib.redirect_stdout(io.StringIO()):
        gt.createIndex()
        ev = COCOeval(gt, gt.loadRes(found), "segm" if masks else "bbox")
        ev.evaluate(), ev.accumulate(), ev.summarize()
    p = ev.eval["precision"][:, :, :, 0, 2]
    per_class = [p[:, :, k][p[:, :, k] > -1].mean() if (p[:, :, k] > -1).any() else -1 for k in range(n_classes)]
    return list(ev.stats[:9]), per_class


def box(r, size):
    w, h = r.uniform(1, size), r.uniform(1, size)
    return [r.uniform(0, W - w), r.uniform(0, H - h), w, h]


def near(r, b, by):
    return [b[0] + r.normal(0, by * b[2]), b[1] + r.normal(0, by * b[3]), b[2] * np.exp(r.normal(0, by)), b[3] * np.exp(r.normal(0, by))]


def rects_of(r, b):
    """An L or a plus in a box, in whole pixels inside the picture."""
    x, y, w, h = [int(v) for v in b]
    x, y, w, h = max(x, 0), max(y, 0), max(w, 1), max(h, 1)
    x, y = min(x, W - 1), min(y, H - 1)
    w, h = min(w, W - x), min(h, H - y)
    cut = r.uniform(0.3, 1)
    return [[x, y, max(1, int(w * cut)), h], [x, y, w, max(1, int(h * cut))]]


def make(r, n_images, n_classes, masks, digits):
    """Class n-1 has no truth, class n-2 no detections, class n-3 crowds alone."""
    entries = []
    for image in range(n_images):
        if image in (3, 7):
            continue
        for cls in range(n_classes):
            for _ in range(r.poisson(1.2)):
                b = np.round(box(r, [25, 90, 220][r.integers(3)]), 2)
                crowd = int(cls == n_classes - 3 or r.random() < 0.12)
                if cls != n_classes - 1:
                    entries.append({"kind": "t", "image": image, "cls": cls, "crowd": crowd, "score": 0, "box": b, "rects": rects_of(r, b)})
                for _ in range(r.poisson(1.5)):
                    if cls == n_classes - 2:
                        continue
                    d = np.round(near(r, b, r.choice([0.02, 0.08, 0.3])), 2)
                    if r.random() < 0.1:
                        d = b
                    entries.append({"kind": "f", "image": image, "cls": cls if r.random() < 0.9 or cls == n_classes - 2 else 0, "crowd": 0,
                                    "score": round(float(r.random()), digits), "box": d, "rects": rects_of(r, d)})
    if not masks and digits < 5:
        b = np.round(box(r, 100), 2)
        entries.append({"kind": "t", "image": 1, "cls": 0, "crowd": 0, "score": 0, "box": b, "rects": []})
        for _ in range(130):
            entries.append({"kind": "f", "image": 1, "cls": 0, "crowd": 0, "score": round(float(r.random()), digits), "box": np.round(near(r, b, 0.2), 2),
                            "rects": []})
    r.shuffle(entries)
    # whatever the order, the same truth comes before in COCO's own list: by picture, then as it stands here
    return entries


def write(f, name, entries, n_classes, n_images, masks, weights):
    print(name, int(masks), n_classes, n_images, len(entries), W, H, file=f)
    for e in entries:
        v = [e["kind"], e["image"], e["cls"], e["crowd"], e["score"]]
        if masks:
            v += [len(e["rects"])] + [n for q in e["rects"] for n in q]
        else:
            v += [repr(float(n)) for n in e["box"]]
        if e["kind"] == "a":
            v.append(repr(float(e["area"])))
        print(*v, file=f)
    for w in (None, weights):
        figures, per_class = score(entries, n_classes, n_images, masks, w)
        print(*([1] * n_images if w is None else w), file=f)
        print(*[repr(float(v)) for v in figures], file=f)
        print(*[repr(float(v)) for v in per_class], file=f)
        print(name, [round(float(v), 4) for v in figures], [round(float(v), 4) for v in per_class])


for name, masks, digits, n_images in (("boxes", False, 1, 20), ("boxes_plain", False, 6, 25), ("masks", True, 1, 20), ("masks_plain", True, 6, 20)):
    r = np.random.default_rng([11, masks, digits])
    entries = make(r, n_images, 6, masks, digits)
    with open(f"{out}/{name}.txt", "w") as f:
        # equal scores inside a picture that counts twice are walked in another order there: such sets get weights 0 and 1
        write(f, name, entries, 6, n_images, masks, r.integers(0, 4 if digits == 6 else 2, n_images))

# Truth whose area is not that of its box or mask, as in COCO's own files ("a"; every other one, so that both kinds stand side by side)
for name, masks in (("boxes_area", False), ("masks_area", True)):
    r = np.random.default_rng([12, masks])
    entries = make(r, 12, 5, masks, 6)
    for e in entries[::2]:
        if e["kind"] == "t":
            e |= {"kind": "a", "area": round(float(np.exp(r.uniform(np.log(300), np.log(30000)))), 2)}
    with open(f"{out}/{name}.txt", "w") as f:
        write(f, name, entries, 5, 12, masks, r.integers(0, 4, 12))

with open(f"{out}/nms.txt", "w") as f:
    for n, bound in ((40, 0.6), (120, 0.6), (60, 0.3), (1, 0.6)):
        r = np.random.default_rng([5, n, int(bound * 10)])
        c = r.uniform(0, 40, (n, 2))
        s = r.uniform(2, 25, (n, 2))
        boxes = np.concatenate([c, c + s], 1).astype(np.float32)
        scores, cls = r.random(n).astype(np.float32), r.integers(0, 3, n)
        kept = [i for i in torch.argsort(torch.from_numpy(scores), descending=True).tolist()
                if i in set(torchvision.ops.batched_nms(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(cls), bound).tolist())]
        print(n, bound, len(kept), file=f)
        for b, q, k in zip(boxes, scores, cls):
            print(*[repr(float(v)) for v in b], repr(float(q)), k, file=f)
        print(*kept, file=f)

# A mask as it is laid into a picture: bilinear, edges kept, one half and more. Boxes on whole pixels, where interpolate says what must come out.
with open(f"{out}/paste.txt", "w") as f:
    for x0, y0, w, h in ((3, 5, 40, 31), (0, 0, 7, 9), (50, 2, 14, 62), (20, 30, 28, 28)):
        r = np.random.default_rng([7, w, h])
        coarse = torch.from_numpy(r.random((1, 1, 5, 5)))
        mask = torch.round(torch.nn.functional.interpolate(coarse, (28, 28), mode="bicubic").clamp(0, 1), decimals=3)
        inside = torch.nn.functional.interpolate(mask, (h, w), mode="bilinear", align_corners=False)[0, 0].numpy()
        picture = np.zeros((64, 64), int)
        picture[y0:y0 + h, x0:x0 + w] = inside >= 0.5
        unsure = (np.abs(inside - 0.5) < 1e-6).sum()
        assert unsure == 0, unsure
        print(x0, y0, w, h, file=f)
        print(*mask.flatten().tolist(), file=f)
        for row in picture:
            print("".join(map(str, row)), file=f)

# COCO's compressed run-length code of random masks: width, height, share of ones, the code.
with open(f"{out}/rle.txt", "w") as f:
    for w, h, share in ((1, 1, 0), (1, 1, 1), (7, 5, 0.5), (64, 48, 0.02), (40, 90, 0.98), (33, 33, 0.5), (120, 90, 0.002)):
        r = np.random.default_rng([13, w, h])
        m = (r.random((h, w)) < share).astype(np.uint8)
        print(w, h, mask_utils.encode(np.asfortranarray(m))["counts"].decode(), file=f)
        print("".join(map(str, m.flatten())), file=f)
