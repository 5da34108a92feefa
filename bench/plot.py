"""Figures from the results of solidus-bench modes; each is drawn when the run measured enough for it.

throughput-C        MB/s against size by mode, and as a share of the mode none's, C operations in flight
latency-S           latency against operations in flight by mode, values of size S
verification-latency  latency of one operation at a time against the number of faults
processor-time-S    processor time per GB, of clients and servers
optimisations       throughput without each optimisation, as a share of the throughput with all
"""

import json
import pathlib
import sys

import matplotlib
import matplotlib.ticker

matplotlib.use("svg")
# The same results give the same file, and text stays text.
matplotlib.rcParams.update({
    "svg.hashsalt": "solidus", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.grid.axis": "y", "grid.alpha": 0.3, "axes.axisbelow": True,
    "axes.titlesize": 9, "axes.titlelocation": "left",
})
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402

MODES = ["none", "fingerprint", "read-time", "lazy", "full"]
COLOURS = dict(zip(MODES, ["#8c8c8c", "#1b6ca8", "#e0a030", "#5a9e4b", "#b5483a"]))
MARKERS = dict(zip(MODES, "xosD^"))
VERIFICATION_SIZE_BYTES = 64 << 10
# Whose figures stand for the others where one number has to be chosen: this one or, if it was not measured, the most.
CLIENTS = 16
OPERATIONS = ["put", "get"]
OPERATION_NAMES = {
    "put": "PUT, new keys", "overwrite": "PUT, own keys again", "get": "GET",
    "get-during-pause": "GET, a server pausing",
}


def size_text(size):
    return f"{size >> 20} MiB" if size % (1 << 20) == 0 else f"{size >> 10} KiB" if size % (1 << 10) == 0 else f"{size} B"


def clients_text(clients):
    return f"{clients} client{'s' if clients > 1 else ''}"


def present(rows):
    return [mode for mode in MODES if any(row["mode"] == mode for row in rows)]


def values(rows, field):
    return sorted({row[field] for row in rows})


def chosen(rows, **fields):
    return [row for row in rows if all(row[name] == value for name, value in fields.items())]


class Figures:
    """Draws into a directory; knows what all titles have to say."""

    def __init__(self, directory, network):
        self.directory = directory
        self.suffix = "" if network == "loopback" else f"-{network}"
        self.remark = "" if network == "loopback" else f", links of {network}"

    def save(self, figure, name, title, legend):
        # In inches from the top, whatever the height.
        height = figure.get_figheight()
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.55 / height))
        figure.text(0.01, 1 - 0.08 / height, title + self.remark, va="top", ha="left", fontsize=10)
        figure.legend(handles=legend, frameon=False, loc="upper left", bbox_to_anchor=(0, 1 - 0.24 / height),
                      ncols=len(legend), handlelength=1.5, columnspacing=1.2, borderaxespad=0.1)
        path = self.directory / f"{name}{self.suffix}.svg"
        # Without the date, and without blanks that the library leaves at ends of lines.
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)
        path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
        print(path)


def mode_lines(modes):
    return [Line2D([], [], color=COLOURS[mode], marker=MARKERS[mode], markersize=4, label=mode) for mode in modes]


def lines(axes, rows, x, y):
    """A line for each mode; x and y are functions of a row."""
    for mode in present(rows):
        points = sorted((x(row), y(row)) for row in rows if row["mode"] == mode)
        axes.plot(*zip(*points), color=COLOURS[mode], marker=MARKERS[mode], markersize=4)


def throughput(figures, results):
    faults = min(values(results, "faults"))
    for clients in values(results, "clients"):
        rows = chosen(results, faults=faults, clients=clients)
        sizes = values(rows, "size_bytes")
        if len(sizes) < 2 or len(present(rows)) < 2:
            continue
        figure, panels = plt.subplots(2, 2, figsize=(8, 5.2), sharex=True, height_ratios=[1.2, 1])
        for (above, below), operation in zip(panels.T, OPERATIONS):
            mine = chosen(rows, operation=operation)
            lines(above, mine, lambda row: row["size_bytes"], lambda row: row["figures"]["megabytes_per_second"])
            above.set_yscale("log")
            above.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
            above.set_ylabel("MB/s")
            above.set_title(OPERATION_NAMES[operation])
            compared = [row for row in mine if "operations_per_second" in row["ratios_to_none"]]
            lines(below, compared, lambda row: row["size_bytes"],
                  lambda row: row["ratios_to_none"]["operations_per_second"])
            below.set_ylim(bottom=0)
            below.set_ylabel("share of none")
            for axes in [above, below]:
                axes.set_xscale("log", base=2)
                axes.set_xticks(sizes, [size_text(size) for size in sizes])
                axes.minorticks_off()
        figures.save(figure, f"throughput-{clients}",
                     f"Throughput by size of values, f = {faults}, {clients_text(clients)}", mode_lines(present(rows)))


def latency(figures, results):
    faults = min(values(results, "faults"))
    for size in values(results, "size_bytes"):
        rows = chosen(results, faults=faults, size_bytes=size)
        clients = values(rows, "clients")
        if len(clients) < 2 or len(present(rows)) < 2:
            continue
        figure, both = plt.subplots(1, 2, figsize=(8, 3.2))
        for axes, operation in zip(both, OPERATIONS):
            mine = chosen(rows, operation=operation)
            lines(axes, mine, lambda row: row["clients"], lambda row: row["figures"]["p50_microseconds"] / 1000)
            for mode in present(mine):
                points = sorted((row["clients"], row["figures"]["p99_microseconds"] / 1000)
                                for row in chosen(mine, mode=mode))
                axes.plot(*zip(*points), color=COLOURS[mode], linestyle=":", linewidth=1)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(clients, [str(count) for count in clients])
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
            axes.set_xlabel("operations in flight")
            axes.set_ylabel("ms")
            axes.set_title(OPERATION_NAMES[operation])
        styles = [Line2D([], [], color="black", label="median"),
                  Line2D([], [], color="black", linestyle=":", linewidth=1, label="99th percentile")]
        figures.save(figure, f"latency-{size_text(size).replace(' ', '')}",
                     f"Latency of values of {size_text(size)}, f = {faults}", mode_lines(present(rows)) + styles)


def verification(figures, results):
    rows = chosen(results, clients=1, size_bytes=VERIFICATION_SIZE_BYTES)
    if len(values(rows, "faults")) < 2:
        return
    figure, both = plt.subplots(1, 2, figsize=(8, 3.2))
    for axes, operation in zip(both, OPERATIONS):
        mine = chosen(rows, operation=operation)
        lines(axes, mine, lambda row: row["faults"], lambda row: row["figures"]["p50_microseconds"] / 1000)
        axes.set_xticks(values(mine, "faults"))
        axes.set_xlabel("faults tolerated (f)")
        axes.set_ylabel("median latency (ms)")
        axes.set_ylim(bottom=0)
        axes.set_title(OPERATION_NAMES[operation])
    figures.save(figure, "verification-latency",
                 f"Latency of one operation at a time, {size_text(VERIFICATION_SIZE_BYTES)}, by time of verification",
                 mode_lines(present(rows)))


def processor_time(figures, results):
    parts = [("client_cpu_seconds_per_gb", "clients", "#1b6ca8", ""),
             ("server_cpu_seconds_per_gb", "servers", "#e0a030", ""),
             ("later_server_cpu_seconds_per_gb", "servers, once idle", "#f2dcae", "///")]
    faults = min(values(results, "faults"))
    for size in values(results, "size_bytes"):
        rows = chosen(results, faults=faults, size_bytes=size)
        clients = CLIENTS if CLIENTS in values(rows, "clients") else max(values(rows, "clients"))
        rows = chosen(rows, clients=clients)
        if len(present(rows)) < 2:
            continue
        figure, both = plt.subplots(1, 2, figsize=(9, 3))
        shown = set()
        for axes, operation in zip(both, OPERATIONS):
            mine = {row["mode"]: row["figures"] for row in chosen(rows, operation=operation)}
            modes = present(chosen(rows, operation=operation))
            below = [0.0] * len(modes)
            for name, label, colour, hatch in parts:
                heights = [mine[mode].get(name, 0) for mode in modes]
                # Only puts in the mode lazy leave anything for later; the rest of it is the clock's grain.
                if name.startswith("later"):
                    heights = [height if mode == "lazy" and operation == "put" else 0
                               for mode, height in zip(modes, heights)]
                if any(heights):
                    shown.add(name)
                    axes.bar(modes, heights, 0.6, bottom=below, color=colour, hatch=hatch, edgecolor="white")
                below = [low + height for low, height in zip(below, heights)]
            axes.set_ylabel("processor seconds per GB")
            axes.set_title(OPERATION_NAMES[operation])
        legend = [Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=label)
                  for name, label, colour, hatch in parts if name in shown]
        figures.save(figure, f"processor-time-{size_text(size).replace(' ', '')}",
                     f"Processor time, values of {size_text(size)}, f = {faults}, {clients_text(clients)}", legend)


def optimisations(figures, results):
    """Each operation's throughput without one optimisation, 1 being all of them."""
    rows = [row for row in results if row["without"] and row["ratios_to_everything"]]
    operations = [operation for operation in OPERATION_NAMES if chosen(rows, operation=operation)]
    names = []
    for row in rows:
        name = ", ".join(row["without"])
        names += [] if name in names else [name]
    if not operations:
        return
    figure, panels = plt.subplots(1, len(operations), figsize=(1.7 + 1.8 * len(operations), 1.4 + 0.3 * len(names)),
                                  sharey=True, squeeze=False)
    for axes, operation in zip(panels[0], operations):
        found = {", ".join(row["without"]): row["ratios_to_everything"]["operations_per_second"]
                 for row in chosen(rows, operation=operation)}
        for place, name in enumerate(names):
            if name in found:
                axes.barh(place, found[name], 0.6, color=COLOURS["fingerprint"])
                axes.text(0.04, place, f"{found[name]:.2f}", va="center", ha="left", color="white")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(range(len(names)), [f"without {name}" for name in names])
        axes.set_xlim(0, max(1.15, *found.values()))
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(OPERATION_NAMES[operation])
    panels[0][0].invert_yaxis()
    row = rows[0]
    figures.save(figure, "optimisations",
                 f"What each optimisation is worth: mode {row['mode']}, f = {row['faults']}, "
                 f"{size_text(row['size_bytes'])}, {clients_text(row['clients'])}",
                 [Patch(facecolor=COLOURS["fingerprint"], label="operations per second without it / with all")])


def main():
    source, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    try:
        with open(source, encoding="utf-8") as file:
            contents = json.load(file)
        contents["results"], contents["network"], contents["without"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"plot: '{source}' cannot be read as what 'solidus-bench modes --json' writes: {error!r}")
    directory.mkdir(parents=True, exist_ok=True)
    figures = Figures(directory, contents["network"])
    # What the whole run left out, every mode left out.
    plain = [row for row in contents["results"]
             if row["without"] == contents["without"] and row["operation"] in OPERATIONS]
    if plain:
        for draw in [throughput, latency, verification, processor_time]:
            draw(figures, plain)
    optimisations(figures, contents["results"])


main()
