#!/usr/bin/env python3
"""Event files as TensorBoard's own writer makes them, for tests/golden/events/.

tensorboard 2.21.0, numpy 2.4.6, Pillow 13.0.0, Python 3.11.7.
usage: events.py OUT_FOLDER        writes golden.tfevents, histograms.tfevents and small.png
       events.py --read RUN_FOLDER prints what TensorBoard's reader finds in a run folder of ours
"""
import io
import os
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter


def read(folder):
    acc = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0})
    acc.Reload()
    for tag in acc.Tags()["scalars"]:
        print(tag, [(e.step, round(e.value, 6)) for e in acc.Scalars(tag)])
    for tag in acc.Tags()["images"]:
        print(tag, [(e.step, e.width, e.height, len(e.encoded_image_string)) for e in acc.Images(tag)])


def write(folder):
    from PIL import Image

    png = io.BytesIO()
    img = Image.new("RGB", (3, 2))
    img.putdata([(i * 40, 255 - i * 40, i) for i in range(6)])
    img.save(png, "PNG")
    png = png.getvalue()
    with open(os.path.join(folder, "small.png"), "wb") as f:
        f.write(png)
    values = [
        (0, Summary.Value(tag="train/loss", simple_value=1.25)),
        (1, Summary.Value(tag="train/loss", simple_value=0.5)),
        (2, Summary.Value(tag="pictures/masks", image=Summary.Image(height=2, width=3, colorspace=3, encoded_image_string=png))),
        (300, Summary.Value(tag="train/lr", simple_value=1.5e-4)),
        (70000, Summary.Value(tag="a/" + "long " * 30, simple_value=-3.0)),
    ]
    with open(os.path.join(folder, "golden.tfevents"), "wb") as f:
        w = RecordWriter(f)
        w.write(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
        for step, v in values:
            w.write(Event(wall_time=1.0, step=step, summary=Summary(value=[v])).SerializeToString())
        w.flush()


def write_histograms(folder):
    """Counts and edges are numpy.histogram's; the numbers are those of test_event_file.c."""
    import numpy as np

    spread = np.array([((i * 7919) % 1000 - 300) / 64 for i in range(1000)], np.float32)
    sizes = np.array([1 + i % 7 * (i % 3) for i in range(50)], np.float32)
    same = np.full(5, -0.25, np.float32)
    with open(os.path.join(folder, "histograms.tfevents"), "wb") as f:
        w = RecordWriter(f)
        w.write(Event(wall_time=1.0, file_version="brain.Event:2").SerializeToString())
        for step, tag, v in ((5, "weights/blocks.0.attn", spread), (6, "mask/node_patches", sizes), (7, "weights/same", same), (8, "weights/zero", np.zeros(5, np.float32))):
            v = v.astype(np.float64)
            count, edge = np.histogram(v, bins=30) if v.min() < v.max() else ([v.size], [v[0], v[0]])
            h = HistogramProto(min=v.min(), max=v.max(), num=v.size, sum=sum(v.tolist()), sum_squares=sum((v * v).tolist()), bucket_limit=edge[1:], bucket=count)
            w.write(Event(wall_time=1.0, step=step, summary=Summary(value=[Summary.Value(tag=tag, histo=h)])).SerializeToString())
        w.flush()


if sys.argv[1] == "--read":
    read(sys.argv[2])
else:
    write(sys.argv[1])
    write_histograms(sys.argv[1])
