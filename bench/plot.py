"""Figures from the results of solidus-bench modes: throughput by mode and size, latency by number of faults."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
# The same results give the same file, and text stays text.
matplotlib.rcParams.update({
    "svg.hashsalt": "solidus", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y", "grid.alpha": 0.3, "axes.axisbelow": True,
})
import matplotlib.pyplot as plt  # noqa: E402

MODES = ["none", "fingerprint", "read-time", "lazy", "full"]
COLOURS = dict(zip(MODES, ["#8c8c8c", "#1b6ca8", "#e0a030", "#5a9e4b", "#b5483a"]))
MARKERS = dict(zip(MODES, "xosD^"))
VERIFICATION_SIZE_BYTES = 64 << 10


def size_text(size):
    return f"{size >> 20} MiB" if size % (1 << 20) == 0 else f"{size >> 10} KiB"


def save(figure, directory, name):
    path = directory / f"{name}.svg"
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    print(path)


def present(rows):
    return [mode for mode in MODES if any(row["mode"] == mode for row in rows)]


def throughput(results, directory):
    """Bars by size, one figure for each operation and number of clients; f is the smallest measured."""
    faults = min(row["faults"] for row in results)
    for operation in ["put", "get"]:
        for clients in sorted({row["clients"] for row in results}):
            rows = [row for row in results
                    if (row["faults"], row["operation"], row["clients"]) == (faults, operation, clients)]
            sizes, modes = sorted({row["size_bytes"] for row in rows}), present(rows)
            if len(modes) < 2:
                continue
            figure, axes = plt.subplots(figsize=(1.5 + 1.5 * len(sizes), 3))
            width = 0.8 / len(modes)
            for position, mode in enumerate(modes):
                found = {row["size_bytes"]: row["figures"]["megabytes_per_second"]
                         for row in rows if row["mode"] == mode}
                places = [place for place, size in enumerate(sizes) if size in found]
                axes.bar([place + (position - (len(modes) - 1) / 2) * width for place in places],
                         [found[sizes[place]] for place in places], width, label=mode, color=COLOURS[mode])
            axes.set_xticks(range(len(sizes)), [size_text(size) for size in sizes])
            axes.set_ylabel("MB/s")
            axes.set_title(f"{operation.upper()} throughput, f = {faults}, "
                           f"{clients} client{'s' if clients > 1 else ''}", loc="left")
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
            save(figure, directory, f"throughput-{operation}-{clients}")


def verification(results, directory):
    """Median latency of one operation at a time against f, for values of 64 KiB."""
    rows = [row for row in results if row["clients"] == 1 and row["size_bytes"] == VERIFICATION_SIZE_BYTES]
    if len({row["faults"] for row in rows}) < 2:
        return
    figure, both = plt.subplots(1, 2, figsize=(8, 3))
    for axes, operation in zip(both, ["put", "get"]):
        chosen = [row for row in rows if row["operation"] == operation]
        for mode in present(chosen):
            points = sorted((row["faults"], row["figures"]["p50_microseconds"] / 1000)
                            for row in chosen if row["mode"] == mode)
            axes.plot(*zip(*points), label=mode, color=COLOURS[mode], marker=MARKERS[mode], markersize=4)
        axes.set_xticks(sorted({row["faults"] for row in chosen}))
        axes.set_xlabel("faults tolerated (f)")
        axes.set_ylabel("median latency (ms)")
        axes.set_ylim(bottom=0)
        axes.set_title(f"{operation.upper()} of {size_text(VERIFICATION_SIZE_BYTES)}, 1 client", loc="left")
    both[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    save(figure, directory, "verification-latency")


def main():
    source, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    with open(source, encoding="utf-8") as file:
        results = json.load(file)["results"]
    directory.mkdir(parents=True, exist_ok=True)
    throughput(results, directory)
    verification(results, directory)


main()
