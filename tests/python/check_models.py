"""Models from Python against the program: python check_models.py EHM FOLDER. Exit 1 where something differs."""

import gc
import os
import pathlib
import pickle
import resource
import threading
import warnings

import numpy as np

import ehm
from counting import check, end, fails, folder, program, run


# ---- a run of a few steps whose masks are ehm's, pictures, and what the program makes of them ----
spec = f"{folder}/run"
run("pretrain", "--data", "scenes:2:64", "--preset", "pico", "--recipe", "ehm", "--mask-ratio", "0.6", "--linkage", "complete", "--batch-size", "16",
    "--steps", "8", "--out", spec)
run("data", "scenes:1:70", "--export", f"{folder}/pics")
model = ehm.Model.load(spec)
check("repr", repr(model).startswith(f"<ehm.Model {spec}: 64x64x3, patch 8"))
check("facts", (model.image_size, model.grid, model.channels, model.patch_size, model.n_patches, model.embed_dim, model.depth, model.num_heads)
      == ((64, 64), (8, 8), 3, 8, 64, 128, 4, 4))
check("more facts", model.has_decoder and model.norm_pix and model.mean.shape == model.std.shape == (3,) and model.spec == spec)
pics = f"{folder}/pics/images"
for pool in ("mean", "cls", "patches"):
    run("embed", "--model", spec, "--data", pics, "--pool", pool, "--out", f"{folder}/F.npy")
    want = np.load(f"{folder}/F.npy")
    got = model.embed(pathlib.Path(pics), pool)  # type: ignore[arg-type]
    check(f"ehm embed --pool {pool}, to the bit", got.dtype == np.float32 and np.array_equal(got, want) and want.shape[0] == 70)
px = model.preprocess(pics)
check("pictures", px.shape == (70, 64, 64, 3) and px.dtype == np.uint8)
check("arrays, to the bit", np.array_equal(model.embed(px, "patches"), want))
check("float pictures", np.allclose(model.embed(px / 255.0), model.embed(px), atol=1e-4))
check("one picture", np.allclose(model.embed(px[3]), model.embed(px)[3], atol=1e-5) and model.embed(px[3]).shape == (128,))
check("views", np.array_equal(model.embed(px[::-1, :, ::-1]), model.embed(np.ascontiguousarray(px[::-1, :, ::-1]))))
files = sorted(str(p) for p in pathlib.Path(pics).rglob("*") if p.is_file())[:5]
check("a list of paths", np.array_equal(model.embed(files[::-1]), model.embed(np.concatenate([model.preprocess(f) for f in files[::-1]]))))

# Another size: what the program does with an array of it.
large = np.random.default_rng(0).integers(0, 256, (5, 90, 120, 3), dtype=np.uint8)
np.save(f"{folder}/large.npy", large)
run("embed", "--model", spec, "--data", f"{folder}/large.npy", "--out", f"{folder}/F.npy")
check("another size, to the bit", np.array_equal(model.embed(large), np.load(f"{folder}/F.npy")))
check("preprocess", np.array_equal(model.embed(model.preprocess(large)), model.embed(large)))
check("stretch differs", not np.array_equal(model.preprocess(large, "stretch"), model.preprocess(large, "crop")))
check("grey", np.array_equal(model.embed(px[..., :1]), model.embed(np.repeat(px[..., :1], 3, -1))))

# ---- attention, similarity, trees, masks ----
a = model.attention(px[:3])
check("attention", a.shape == (3, 65, 65) and np.allclose(a.sum(-1), 1, atol=1e-4))
check("heads", np.allclose(model.attention(px[:3], per_head=True).mean(1), a, atol=1e-6))
check("first block", not np.allclose(model.attention(px[:3], 0), a))
s = model.similarity(px[:3])
check("similarity", s.shape == (3, 64, 64) and np.array_equal(s, s.transpose(0, 2, 1)))
check("settings of similarity", not np.array_equal(model.similarity(px[:3], similarity="direct", tree_layers="all"), s))
z = model.tree(px[:3])
check("trees, with the run's linkage", np.allclose(z, ehm.tree(s, "complete"), atol=1e-5) and model.tree(px[0]).shape == (63, 4))
run("draw", "masks", "--model", spec, "--image", files[0], "--progress", "0.5,1", "--count", "4", "--seed", "3", "--out", f"{folder}/m.npy")
want = np.load(f"{folder}/m.npy") != 0
for i, u in enumerate((0.5, 1)):
    check(f"ehm draw masks of the run's rule at {u}", np.array_equal(model.masks(files[0], progress=u, seed=3, count=4), want[i]))
m = model.masks(px, progress=0.8)
check("the run's ratio", m.shape == (70, 8, 8) and bool((m.sum((1, 2)) == 64 - int(64 * 0.4)).all()))
check("its masks are ehm's with its similarity", np.array_equal(model.masks(px[:3], progress=1, seed=2),
      ehm.masks("ehm", model.grid, 3, 1, 0.6, affinity=s, seed=2, linkage="complete")))
check("another rule", np.array_equal(model.masks(px[:3], rule="block", ratio=0.5), ehm.masks("block", (8, 8), 3, ratio=0.5)))
for rule in ehm.mask_rules():
    if rule.name != "file" and "score" not in rule.needs:
        check(f"{rule.name} from a model", model.masks(px[:2], rule=rule.name, progress=0.7).any())
with model.masker(ratio=0.75) as k:
    n = model.look(k, px[:4], 1.0)
    check("masker of a model", np.array_equal(k.draw(n, 1.0, seed=5), model.masks(px[:4], 1.0, ratio=0.75, seed=5)))
r = model.reconstruct(px[:3], m[:3])
check("reconstruction", r.patches.shape == (3, 8, 8, 8, 8, 3) and r.loss.shape == (3,))
target = ((px[:3] / 255.0 - model.mean) / model.std).reshape(3, 8, 8, 8, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(3, 8, 8, -1)
target = (target - target.mean(-1, keepdims=True)) / np.sqrt(target.var(-1, ddof=1, keepdims=True) + 1e-6)
error = ((r.patches.reshape(3, 8, 8, -1) - target) ** 2).mean(-1)
check("its loss is MAE's", np.allclose([error[i][m[i]].mean() for i in range(3)], r.loss, rtol=1e-3))

# ---- what is wrong is said ----
fails("no model", ehm.SettingError, "no/such/run", lambda: ehm.Model.load("no/such/run"))
check("FileError is an OSError", issubclass(ehm.FileError, OSError))
fails("preset", ehm.SettingError, "pic", lambda: ehm.Model.load("untrained:pic"))
fails("device", ehm.SettingError, "tpu", lambda: ehm.Model.load(spec, device="tpu"))
fails("made by hand", TypeError, "Model.load", ehm.Model)
fails("no picture", ehm.SettingError, "nowhere", lambda: model.embed("/nowhere"))
fails("flat", ehm.ArgumentError, "(4,)", lambda: model.embed(np.zeros(4)))
fails("int64", ehm.ArgumentError, "int64", lambda: model.embed(np.zeros((1, 64, 64, 3), np.int64)))
fails("NaN", ehm.NumberError, "nan", lambda: model.embed(np.full((64, 64, 3), np.nan)))
fails("none", ehm.ArgumentError, "[0,64,64,3]", lambda: model.embed(np.zeros((0, 64, 64, 3), np.uint8)))
fails("five channels", ehm.ArgumentError, "5", lambda: model.embed(np.zeros((64, 64, 5), np.uint8)))
fails("pool", ehm.SettingError, "cls, mean and patches", lambda: model.embed(px, "max"))  # type: ignore[arg-type]
fails("block", ehm.ArgumentError, "0 to 3", lambda: model.attention(px, 4))
fails("masks of another size", ehm.ArgumentError, "(3, 4, 4)", lambda: model.reconstruct(px[:3], np.zeros((3, 4, 4))))
fails("count", ehm.ArgumentError, "one picture", lambda: model.masks(px[:2], count=4))
fails("pickled", TypeError, "pickled", lambda: pickle.dumps(model))
pathlib.Path(f"{folder}/bad.png").write_bytes(pathlib.Path(files[0]).read_bytes()[:200])
fails("a broken picture", ehm.FormatError, "bad.png", lambda: model.embed([files[0], f"{folder}/bad.png"]))
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    model.embed(px[:1].astype(np.float32))
check("floats up to 255 are warned about", len(seen) == 1 and "divide by 255" in str(seen[0].message))

# ---- threads, forks, the end ----
want = model.embed(px[:8])
same = []


def one() -> None:
    same.append(all(np.array_equal(model.embed(px[:8]), want) for _ in range(5)))


threads = [threading.Thread(target=one) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
check("threads take turns", same == [True] * 4)
child = os.fork()
if not child:
    try:
        model.embed(px[:1])
        os._exit(1)
    except ehm.UnsupportedError as e:
        os._exit(0 if "open it again in this process" in str(e) else 2)
check("a forked child is told", os.waitpid(child, 0)[1] == 0)
check("and its parent goes on", np.array_equal(model.embed(px[:8]), want))
with model:
    pass
model.close()
check("closed", "closed" in repr(model))
fails("closed", ehm.ArgumentError, "closed", lambda: model.embed(px))


def used() -> int:
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()


def many(n: int) -> None:
    for _ in range(n):
        m = ehm.Model.load("untrained:pico", batch_size=2)
        m.embed(px[:2])
        m.masks(px[:2], 1.0, rule="ehm")
        try:
            ehm.Model.load("no/such/run")
        except ehm.Error:
            pass


many(10)
before = used()
many(40)
check(f"memory grew by {used() - before} bytes over 40 models", used() - before < 16 << 20)
end("models")
