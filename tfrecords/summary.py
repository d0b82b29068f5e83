"""What `python -m tfrecords info` prints."""

import numpy as np

from tfrecords.index import Index

_SHORT_TABLE = 20


def summary_dict(index: Index) -> dict:
    """The summary as plain data, for `--json`."""
    info = index.info
    counts = index.class_counts
    return {
        "split": info.split,
        "source": info.source,
        "format_version": info.format_version,
        "num_clips": info.num_clips,
        "num_classes": info.num_classes,
        "sample_rate": info.sample_rate,
        "clip_samples": info.clip_samples,
        "clip_seconds": info.clip_seconds,
        "hours": info.num_clips * info.clip_seconds / 3600,
        "codec": info.codec,
        "num_shards": len(info.shards),
        "clips_per_shard": info.clips_per_shard,
        "bytes": sum(shard.bytes for shard in info.shards),
        "labels_per_clip": len(index.label_values) / max(1, index.num_clips),
        "clips_per_class": {
            "min": int(counts.min()),
            "median": float(np.median(counts)),
            "max": int(counts.max()),
        },
        "classes": {name: int(count) for name, count in zip(info.classes, counts, strict=True)},
    }


def summary_text(index: Index, *, classes: bool = False) -> str:
    """The summary for a person; the table of classes if it is short or asked for."""
    data = summary_dict(index)
    per_class = data["clips_per_class"]
    lines = [
        f"{index.directory}: split {data['split']}, from {data['source']}",
        f"{data['num_clips']} clips of {data['clip_seconds']:g} s at {data['sample_rate']} Hz "
        f"({data['hours']:.2f} h, {data['codec']})",
        f"{index.info.shards_text} of up to {data['clips_per_shard']} clips, "
        f"{data['bytes'] / 1e6:.1f} MB",
        f"{data['num_classes']} classes, {data['labels_per_clip']:.2f} labels a clip; clips per "
        f"class: min {per_class['min']}, median {per_class['median']:g}, max {per_class['max']}",
    ]
    if classes or data["num_classes"] <= _SHORT_TABLE:
        rows = enumerate(data["classes"].items())
        lines += [f"{number:5d}  {count:8d}  {name}" for number, (name, count) in rows]
    else:
        lines.append("(--classes lists every class)")
    return "\n".join(lines)
