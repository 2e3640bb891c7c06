"""Files of torch.save, and what is in them as the safetensors library writes it.

Made with: Python 3.11, torch 2.15.0, numpy 2.4.6, safetensors 0.8.0; hydra.pth also needs omegaconf 2.3.0
Run:       python tools/golden/pth.py tests/golden/pth

nested*.pth hold one dict, saved in five ways; nested.safetensors has its tensors under the names the reader gives them (keys joined by dots),
contiguous, nested.json its metadata (None: must be absent). The rest are small files that have to be read or refused, as the tests say.
"""
import argparse
import collections
import io
import json
import os
import pathlib
import sys
import zipfile
import numpy as np
import torch
from safetensors.torch import save_file

out = sys.argv[1]
at = lambda name: os.path.join(out, name)
torch.manual_seed(5)

base = torch.randn(6, 4)
half = torch.randn(3, 5).half()
shared = torch.arange(10, dtype=torch.int32)
model = collections.OrderedDict()
model["f32"] = base
model["same"] = base                      # one storage, two names
model["transposed"] = base.t()
model["sliced"] = base[1:5:2, 1:3]
model["row"] = base[2]                    # contiguous, with an offset
model["expanded"] = base[:, 1:2].unsqueeze(0).expand(2, 6, 3)
model["odd_strides"] = torch.empty_strided((1, 3), (77, 1)).copy_(torch.ones(1, 3))
model["parameter"] = torch.nn.Parameter(torch.randn(2, 3))
model["f16"], model["f16_t"] = half, half.t()
model["bf16"], model["bf16_t"] = half.bfloat16(), torch.randn(2, 3, 4).bfloat16().permute(2, 0, 1)
model["f64"] = torch.randn(3, dtype=torch.float64)
model["i64"] = torch.tensor([-1, 2**62, 3])
model["i32"], model["i32_odd"] = shared, shared[1::2]
model["i16"] = torch.tensor([[-300, 300]], dtype=torch.int16)
model["i8"] = torch.tensor([-128, 127], dtype=torch.int8)
model["u8"] = torch.arange(256, dtype=torch.uint8)
model["bool"] = torch.tensor([True, False, True])
model["scalar"] = torch.tensor(7)
model["empty"] = torch.zeros(0, 3)
model["five"] = torch.randn(2, 1, 3, 1, 2).transpose(0, 4)
model._metadata = collections.OrderedDict({"": {"version": 2}})  # as a module's state_dict has
tree = {
    "model": model,
    "optimizer": {"state": {0: {"step": 11, "exp_avg": torch.randn(2, 3)}}, "param_groups": [{"lr": 0.5, "betas": (0.9, 0.95), "params": [0, 1]}]},
    "epoch": 3, "big": -5000000000, "huge": 2**70, "ratio": 0.1, "tiny": 5e-324, "infinite": float("inf"), "done": True, "none": None,
    "text": "quote \" and \u00e9", "raw": b"\x00\xff",
    "args": argparse.Namespace(model="mae_vit_base_patch16", norm_pix_loss=True, mask_ratio=0.75, betas=[1, 2], inner=argparse.Namespace(deep=1)),
    "best": np.float64(81.5), "count": np.int32(-7), "flag": np.bool_(True), "single": np.float32(0.5),
    "curve": np.arange(3.0), "where": pathlib.PosixPath("/data/x"), "seen": {1, 2}, "fixed": frozenset([3]),
    "counts": collections.Counter("aab"), "later": collections.defaultdict(list, key=1),
    "device": torch.device("cpu"), "dtype": torch.bfloat16, "size": torch.Size([2, 3]),
    ("a", 1): "not a name", 5: "five", "tuple": (torch.ones(2), {"in": torch.zeros(1)}),
}


def flatten(v, name, found):
    if isinstance(v, torch.Tensor):
        found[name] = v.detach().clone(memory_format=torch.contiguous_format)
    elif isinstance(v, argparse.Namespace):
        flatten(vars(v), name, found)
    elif isinstance(v, dict):
        for k, x in v.items():
            if isinstance(k, (str, int)):
                flatten(x, f"{name}.{k}" if name else str(k), found)
    elif isinstance(v, (list, tuple)):
        for i, x in enumerate(v):
            flatten(x, f"{name}.{i}" if name else str(i), found)
    return found


save_file(flatten(tree, "", {}), at("nested.safetensors"))
meta = {"epoch": "3", "big": "-5000000000", "huge": None, "ratio": "0.1", "tiny": "5e-324", "infinite": "inf", "done": "true", "none": None,
        "text": "quote \" and \u00e9", "raw": None, "args.model": "mae_vit_base_patch16", "args.norm_pix_loss": "true", "args.mask_ratio": "0.75",
        "args.inner.deep": "1", "args.betas.0": None, "best": "81.5", "count": "-7", "flag": "true", "single": "0.5", "curve": None, "where": None,
        "seen": None, "device": "cpu", "dtype": None, "counts.a": "2", "later.key": "1", "5": "five", "optimizer.param_groups.0.lr": "0.5",
        "optimizer.state.0.step": "11", "optimizer.param_groups.0.params.1": None}
json.dump(meta, open(at("nested.json"), "w"), indent=0, sort_keys=True)

torch.save(tree, at("nested_zip.pth"))
torch.save(tree, at("nested_zip4.pth"), pickle_protocol=4)
torch.save(tree, at("nested_old.pth"), _use_new_zipfile_serialization=False)
torch.save(tree, at("nested_old5.pth"), _use_new_zipfile_serialization=False, pickle_protocol=5)
torch.serialization.set_crc32_options(False)
torch.save(tree, at("nested_no_crc.pth"))
torch.serialization.set_crc32_options(True)


def repack(source, target, change=lambda name, data: data, **kw):
    with zipfile.ZipFile(source) as a, zipfile.ZipFile(target, "w", **kw) as b:
        for i in a.infolist():
            b.writestr(zipfile.ZipInfo(i.filename), change(i.filename, a.read(i)), compress_type=kw.get("compression"))


small = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}
torch.save(small, at("small.pth"))
torch.save(small, at("small_old.pth"), _use_new_zipfile_serialization=False)
repack(at("small.pth"), at("repacked.pth"))
repack(at("small.pth"), at("deflated.pth"), compression=zipfile.ZIP_DEFLATED)
repack(at("small.pth"), at("big_endian.pth"), lambda n, d: b"big" if n.endswith("byteorder") else d)
limit, zipfile.ZIP64_LIMIT = zipfile.ZIP64_LIMIT, 8  # every size and place that can be is written in 64 bits
repack(at("small.pth"), at("zip64.pth"))
zipfile.ZIP64_LIMIT = limit
torch.save(torch.arange(3.0), at("bare.pth"))
torch.save([torch.zeros(1), {"k": torch.ones(1)}], at("list.pth"))
torch.save({"u16": torch.tensor([1, 65535], dtype=torch.uint16), "u64": torch.tensor([2**64 - 1], dtype=torch.uint64)}, at("unsigned.pth"))
torch.save({"m": torch.nn.Linear(2, 2)}, at("module.pth"))
torch.save({"s": torch.eye(2).to_sparse()}, at("sparse.pth"))
torch.save({"c": torch.ones(2, dtype=torch.complex64)}, at("complex.pth"))
torch.save({"f": torch.ones(2).to(torch.float8_e4m3fn)}, at("float8.pth"))
torch.save({"x": torch.ones(2, dtype=torch.complex64).conj().imag}, at("negative.pth"))
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), at("script.pt"))


class Command:
    def __reduce__(self):
        return os.system, ("echo never",)


torch.save({"model": {"w": torch.ones(2)}, "x": Command()}, at("command.pth"))
torch.save({"model": {"w": torch.ones(2)}, "x": Command()}, at("command_old.pth"), _use_new_zipfile_serialization=False)
import pickle
pickle.dump({"w": [1.0]}, open(at("plain.pkl"), "wb"))
try:
    from omegaconf import OmegaConf
    cfg = OmegaConf.create({"name": "mae", "optimizer": {"lr": 2e-4, "batch": 64}, "list": [1, 0.5, None], "flag": True})
    torch.save({"hyper_parameters": {"cfg": cfg}, "state_dict": small}, at("hydra.pth"))
except ImportError:
    print("omegaconf is missing: hydra.pth was not made")
