"""A safetensors file by the reference library, of every type that both know.

Made with: Python 3.11, safetensors 0.8.0, torch 2.15.0
Run:       python tools/golden/safetensors_file.py tests/golden/safetensors

Values of tensor i: (k * 3 + i) % 50 for k = 0, 1, ...; floats: the same minus 20, over 8.
"""
import sys
import torch
from safetensors.torch import save_file

TYPES = [("f32", torch.float32), ("f64", torch.float64), ("f16", torch.float16), ("bf16", torch.bfloat16), ("i64", torch.int64), ("i32", torch.int32),
         ("i16", torch.int16), ("u8", torch.uint8), ("i8", torch.int8), ("bool", torch.bool)]
out = {}
for i, (name, t) in enumerate(TYPES):
    v = (torch.arange(7 + i) * 3 + i) % 50
    out["t." + name] = ((v.double() - 20) / 8 if t.is_floating_point else v % 2 if t == torch.bool else v).to(t)
out["matrix"] = ((torch.arange(6) * 3).double().reshape(2, 3) - 20).float() / 8
out["scalar"] = torch.tensor(2.5)
out["empty"] = torch.zeros(0, 4)
save_file(out, sys.argv[1] + "/mixed.safetensors", metadata={"who": "reference library", "text": "quote \" and é"})
