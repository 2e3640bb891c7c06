"""Golden files of ONNX: the bytes of a small model, and what a runtime makes of every operator that our graphs use.

Made with: Python 3.11, onnx 1.23.2, onnxruntime 1.31.1, numpy 2.4.6
Run:       python tools/golden/onnx_graphs.py tests/golden/onnx

bytes.onnx       a graph that tests/unit/export/test_onnx.c builds too: as the protocol buffer's own library writes it, with the version "VERSION"
ops_17.onnx      every operator before opset 18, with broadcasting and odd shapes; outputs of other ranks than two among them
ops_20.onnx      the same with Gelu, and ReduceMean with its axis as an input
ops.f32          the input [2,3,4,6], then the outputs of ops_17 and those of ops_20 in the order of the graph, by onnxruntime
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

out = sys.argv[1]
rng = np.random.default_rng(7)


def init(name, v):
    return numpy_helper.from_array(np.array(v, order="C"), name)


def clean(model):
    """Opset without its domain, as most writers leave it."""
    for o in model.opset_import:
        o.ClearField("domain")
    return model


def bytes_model():
    nodes = [
        helper.make_node("Transpose", ["pixel_values"], ["turned"], name="turned", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["turned", "shape"], ["a/Reshape"], name="a/Reshape"),
        helper.make_node("MatMul", ["a/Reshape", "w.T"], ["a/MatMul"], name="a/MatMul"),
        helper.make_node("Mul", ["a/MatMul", "scale"], ["a/Mul"], name="a/Mul"),
        helper.make_node("LayerNormalization", ["a/Mul", "g", "b"], ["out"], name="n/LayerNormalization"),
    ]
    a = nodes[4].attribute
    a.extend([helper.make_attribute("axis", -1), helper.make_attribute("epsilon", 1e-6)])
    w = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    inits = [init("shape", np.array([0, -1, 3], np.int64)), init("w.T", w.T), init("scale", np.float32(0.5)), init("g", np.array([1, -2], np.float32)),
             init("b", np.array([0.25, 300], np.float32)), init("index", np.int64(2**63 - 1))]
    graph = helper.make_graph(nodes, "ehm", [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, 2, 2])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 4, 2])], inits)
    m = helper.make_model(graph, producer_name="ehm", producer_version="VERSION", ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(m, {"patch_size": "4", "edge": "x" * 128, "long": "x" * 200})
    return clean(m)


def ops_model(opset):
    n, inits, outs = [], [], []

    def node(op, inputs, name, n_out=1, **attrs):
        names = [name] if n_out == 1 else [f"{name}{i}" for i in range(n_out)]
        n.append(helper.make_node(op, inputs, names, name=name + "_node", **attrs))
        return names

    def const(name, v):
        inits.append(init(name, v))
        return name

    def f(*shape):
        return rng.normal(size=shape).astype(np.float32)

    x = "pixel_values"  # [2,3,4,6]
    node("Conv", [x, const("cw", f(5, 3, 2, 3)), const("cb", f(5))], "conv", kernel_shape=[2, 3], strides=[2, 3])
    node("Conv", [x, const("cw2", f(9, 3, 2, 2))], "conv_over", kernel_shape=[2, 2], strides=[1, 2])
    node("Reshape", ["conv", const("rs", np.array([0, 5, -1], np.int64))], "reshape")
    node("Transpose", ["reshape"], "transpose", perm=[0, 2, 1])  # [2,4,5]
    node("Shape", [x], "batch", start=0, end=1)
    node("Shape", [x], "tail", start=-2)
    node("Concat", ["batch", "tail"], "sizes", axis=0)  # 2,4,6
    node("Expand", [const("e1", f(1, 4, 1)), "sizes"], "expand")  # [2,4,6]
    node("Concat", ["transpose", "expand", "transpose"], "concat", axis=-1)  # [2,4,16]
    node("Add", ["concat", const("a1", f(4, 1))], "add")
    node("Mul", [const("m1", f(3, 1, 1, 16)), "add"], "mul")  # [3,2,4,16]
    node("Div", ["mul", const("d1", np.float32(1.7))], "div")
    node("Erf", ["div"], "erf")
    node("MatMul", ["div", const("mm1", f(16, 11))], "matmul")
    node("Transpose", ["div"], "turned", perm=[0, 1, 3, 2])
    node("MatMul", ["div", "turned"], "scores")  # [3,2,4,4]
    node("MatMul", ["scores", const("mm2", f(2, 4, 3))], "batched")  # repeated over the first
    node("Softmax", ["scores"], "softmax", axis=-1)
    node("LayerNormalization", ["matmul", const("lg", f(11)), const("lb", f(11))], "norm", axis=-1, epsilon=1e-6)
    node("Split", ["concat", const("sp", np.array([3, 9, 4], np.int64))], "split", 3, axis=-1)
    node("Gather", ["concat", const("gi", np.int64(-2))], "gather", axis=1)  # [2,16]
    node("Slice", ["concat", const("s0", np.array([1], np.int64)), const("s1", np.array([2**63 - 1], np.int64)), const("s2", np.array([1], np.int64))], "slice")
    node("Slice", ["concat", const("t0", np.array([-9], np.int64)), const("t1", np.array([-2], np.int64)), const("t2", np.array([-1], np.int64))], "slice_end")
    if opset >= 18:
        node("ReduceMean", ["concat", const("ra", np.array([1], np.int64))], "mean", keepdims=0)
        node("ReduceMean", ["concat", const("rb", np.array([-1], np.int64))], "mean_kept")
    else:
        node("ReduceMean", ["concat"], "mean", axes=[1], keepdims=0)
        node("ReduceMean", ["concat"], "mean_kept", axes=[-1])
    node("Gemm", ["gather", const("gw", f(7, 16)), const("gb", f(7))], "gemm", transB=1)
    node("Identity", ["gemm"], "same")
    if opset >= 20:
        node("Gelu", ["mul"], "gelu")
    outs = ["conv_over", "mean", "mean_kept", "batched", "softmax", "norm", "split1", "same"] if opset < 18 else ["erf", "slice", "slice_end", "mean", "mean_kept", "gelu"]
    g = helper.make_graph(n, "ops", [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", 3, 4, 6])],
                          [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outs], inits)
    m = helper.make_model(g, producer_name="golden", ir_version=8 if opset < 19 else 9, opset_imports=[helper.make_opsetid("", opset)])
    return m, outs


open(os.path.join(out, "bytes.onnx"), "wb").write(bytes_model().SerializeToString(deterministic=True))
x = rng.normal(size=(2, 3, 4, 6)).astype(np.float32)
numbers = [x.ravel()]
for opset in (17, 20):
    m, outs = ops_model(opset)
    onnx.save(m, os.path.join(out, f"ops_{opset}.onnx"))
    o = onnxruntime.SessionOptions()
    o.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    got = onnxruntime.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"]).run(outs, {"pixel_values": x})
    for name, v in zip(outs, got):
        print(opset, name, v.shape)
        numbers.append(v.ravel())
np.concatenate(numbers).astype("<f4").tofile(os.path.join(out, "ops.f32"))
