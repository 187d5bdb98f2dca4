"""Measures sandboxes against their baselines, in turns, and writes a table: `measure.py --driver PATH --floor PATH [--quick]`.

Nothing here is asserted on a clock: a figure that misses what it should reach says so in its row.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import container
import kernel
import processes
import script
import table
from driver import Driver
from service import Service
from table import Row, Samples

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
QUIET = 0.5


def main():
    words = argparse.ArgumentParser(description="Measures sandboxes against their baselines.")
    words.add_argument("--driver", required=True, help="the program of crates/sandbox/benches/sandboxes.rs")
    words.add_argument("--synth", required=True, help="the program `synth`")
    words.add_argument("--floor", required=True, help="the program of floor.c")
    words.add_argument("--output", type=pathlib.Path, required=True, help="the folder for the results")
    words.add_argument("--quick", action="store_true", help="fewer readings: four minutes and not ten")
    words.add_argument("--write-docs", action="store_true", help="put the tables into docs/performance.md and README.md")
    asked = words.parse_args()

    machine = describe(wait=not asked.quick)
    say(f"load at the start: {machine['load']:.2f}")
    bench = Bench(asked)
    for measure in (bench.latencies, bench.memory, bench.throughput, bench.trajectories, bench.containers):
        measure()
        text = write(asked, machine, bench)
    print(text)
    if asked.write_docs:
        write_docs(bench, text)


def say(what):
    print(what, file=sys.stderr, flush=True)


def describe(wait):
    """The machine; a build that has just ended is given time to be forgotten."""
    until = time.monotonic() + (180 if wait else 0)
    while processes.load() > QUIET and time.monotonic() < until:
        time.sleep(5)
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": models[0] if models else platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
        "load": processes.load(),
    }


class Bench:
    """The rows so far."""

    def __init__(self, asked):
        self.asked = asked
        self.rounds = 3 if asked.quick else 12
        self.rows = []
        self.remarks = []
        self.ready = None

    def driver(self, slots, **settings):
        settings = {f"sandbox.{key}": value for key, value in settings.items()}
        return Driver(self.asked.driver, slots, settings)

    def latencies(self):
        """What is waited for: in rounds, so that both sides meet the same moods of the machine."""
        cold, ready, unparked, closing = (Samples("ms") for _ in range(4))
        warm_cells, cells, served = Samples("ms"), Samples("ms"), Samples("ms")
        floor, warmed = {}, {}
        warm = kernel.Kernel()
        service = Service(self.asked.synth, self.asked.output)
        with self.driver(8) as parked, self.driver(8, parked=0) as empty, service:
            parked.order("open", times=2, pause_ms=500)
            empty.order("open", times=2, pause_ms=0)
            for number in range(self.rounds):
                say(f"latencies: round {number + 1} of {self.rounds}")
                cold.values.append(kernel.cold())
                opened = parked.order("open", times=8, pause_ms=150)
                ready.values += opened["first_ms"]
                closing.values += opened["close_ms"]
                unparked.values += empty.order("open", times=8, pause_ms=50)["first_ms"]
                warm_cells.values += kernel.cells(warm, 40)
                cells.values += parked.order("cells", times=200)["cell_ms"]
                served.values += service.cells(200)
                merge(floor, output([self.asked.floor, "20"]))
                merge(warmed, output([sys.executable, str(HERE / "warmed.py"), "10"]))
        warm.close()
        self.ready = ready
        self.rows += [
            Row("open to the first `1+1`, handed out ready", ready, "cold ipykernel", cold, "10 ms, 100x",
                ready.median <= 10 and cold.median / ready.median >= 100, headline=True),
            Row("the same, none parked", unparked, "cold ipykernel", cold, "25 ms", unparked.median <= 25, headline=True),
            Row("close", closing),
            Row("trivial cell, round trip", cells, "warm ipykernel", warm_cells, "0.5 ms", cells.median <= 0.5, headline=True),
            Row("the same through `synth serve`, with a client in Python", served, "warm ipykernel", warm_cells),
        ]
        self.floors(floor, warmed, ready, unparked)

    def floors(self, floor, warmed, ready, unparked):
        """What the kernel itself takes, and how far above it we are."""
        for name, what in [
            ("fork", "floor: fork of a tiny process, to its end"),
            ("namespaces", "floor: fork into six new namespaces, to its end"),
            ("namespaces and control group", f"floor: the same in a control group of its own ({floor['control groups']})"),
            ("fork of 100 MB", "floor: fork of 100 MB in small pages, to its end"),
        ]:
            if floor[name]:
                self.rows.append(Row(what, Samples("ms", floor[name])))
        fork = Samples("ms", warmed["fork"]["answer"])
        size = warmed["rss_kb"] / 1024
        self.rows.append(Row(f"floor: fork of the warmed interpreter ({size:.0f} MB) to the answer of its child", fork))
        if "namespaces" in warmed:
            fork = Samples("ms", warmed["namespaces"]["answer"])
            self.rows.append(Row("floor: the same into six new namespaces", fork))
        self.remarks.append(
            f"Distance to the floor (fork of the warmed interpreter into new namespaces, to its answer, {fork.median:.1f} ms): "
            f"{unparked.median / fork.median:.1f}x with none parked, {ready.median / fork.median:.2f}x handed out ready."
        )

    def memory(self):
        """Of idle sandboxes, and of idle kernels."""
        count, kernels = (16, 2) if self.asked.quick else (64, 4)
        say(f"memory of {count} idle sandboxes and {kernels} idle kernels")
        theirs = []
        before = processes.available_kb()
        for _ in range(kernels):
            theirs.append(kernel.Kernel())
        time.sleep(1)
        kernel_pss = processes.pss_kb(process.pid() for process in theirs) / kernels / 1024
        for process in theirs:
            process.close()
        with self.driver(count) as ours:
            time.sleep(2)
            standing = ours.members()
            standing_pss = processes.pss_kb(standing)
            before = processes.available_kb()
            ours.order("hold", count=count)
            time.sleep(2)
            members = ours.members()
            own = processes.pss_kb(members - standing) / count / 1024
            grown = (processes.pss_kb(members) - standing_pss) / count / 1024
            taken = (before - processes.available_kb()) / count / 1024
            ours.order("release")
        self.rows.append(
            Row("memory per idle sandbox (PSS)", Samples("MB", [own]), "ipykernel", Samples("MB", [kernel_pss]), "12 MB",
                own <= 12, headline=True)
        )
        self.remarks.append(
            f"Memory: of {count} idle sandboxes that answered one cell, all processes of each, their share of pages that they share "
            f"with the process they were forked from among it. All of `synth`'s processes together grew by {grown:.1f} MB for each, and "
            f"the machine, which counts page tables and control groups too, had {taken:.1f} MB less for each. Kernels: {kernels} at once."
        )

    def throughput(self):
        seconds, clients = (3, 4) if self.asked.quick else (10, 4)
        say(f"opens a second: {clients} clients, {seconds} s")
        with self.driver(16) as ours:
            ours.order("sustain", clients=clients, seconds=1)
            spent = ours.cpu_seconds()
            done = ours.order("sustain", clients=clients, seconds=seconds)
            time.sleep(0.5)
            spent = ours.cpu_seconds() - spent
        rate = Samples("/s", [len(done["taken_ms"]) / done["seconds"]])
        self.rows.append(
            Row("opens a second, sustained (open, `1+1`, close)", rate, target="150 /s", reached=rate.median >= 150, headline=True)
        )
        self.remarks.append(
            f"Sustained: {clients} clients, {seconds} s, {1e3 * spent / len(done['taken_ms']):.1f} ms of processor time for each sandbox."
        )

    def trajectories(self):
        count, clients, times = 64, 8, 1 if self.asked.quick else 5
        path = self.asked.output / "sales.csv"
        answer = script.write_table(path)
        rates, costs, whole = Samples("/s"), Samples("CPU s"), Samples("CPU s")
        with self.driver(clients) as ours:
            order = {"clients": clients, "file": str(path), "cells": script.CELLS, "answer": answer}
            ours.order("trajectories", count=8, **order)
            for number in range(times):
                say(f"trajectories: {number + 1} of {times}")
                time.sleep(1)
                spent, machine = ours.cpu_seconds(), processes.machine_cpu_seconds()
                done = ours.order("trajectories", count=count, **order)
                # What the pool does to be full again belongs to them.
                time.sleep(1)
                rates.values.append(count / done["seconds"])
                costs.values.append((ours.cpu_seconds() - spent) / count)
                whole.values.append((processes.machine_cpu_seconds() - machine) / count)
        self.rows += [
            Row(f"{count} trajectories of 6 cells on {clients} slots", rates, "DSGym, measured earlier", Samples("/s", [1.34]), "20 /s",
                rates.median >= 20, headline=True),
            Row("processor time for each of them", costs, "DSGym, measured earlier", Samples("CPU s", [1.36]), "0.09 CPU s",
                costs.median <= 0.09, headline=True),
        ]
        self.remarks.append(
            f"Processor time: of the orchestrator and all processes below it, living and ended. The whole machine, its kernel threads and "
            f"whatever else ran among it, spent {whole.median:.3f} s for each trajectory."
        )


    def containers(self):
        """The docker backend, where there is an Engine with the image."""
        why = container.missing()
        if why:
            say(f"docker: skipped: {why}")
            self.remarks.append(f"The docker backend was not measured: {why}.")
            return
        runs, plain, cold, warm, cells = (Samples("ms") for _ in range(5))
        ready = Samples("ms", self.ready.values)
        # One after the other: a pool that fills itself again is no quiet neighbour of a cold start.
        with self.driver(4, backend="docker", **{"docker.warm": 0}) as empty:
            empty.order("open", times=1, pause_ms=500)
            for number in range(self.rounds):
                say(f"docker, cold: round {number + 1} of {self.rounds}")
                runs.values.append(container.cold())
                plain.values.append(container.cold(shell=False))
                cold.values += empty.order("open", times=1, pause_ms=500)["first_ms"]
        with self.driver(4, backend="docker") as waiting:
            # The pool learns from the first one what to keep ready, and has the time for it.
            waiting.order("open", times=1, pause_ms=15000)
            for number in range(self.rounds):
                say(f"docker, warm: round {number + 1} of {self.rounds}")
                warm.values += waiting.order("open", times=2, pause_ms=8000)["first_ms"]
                cells.values += waiting.order("cells", times=50)["cell_ms"]
        self.rows += [
            Row("docker: hand-out of a warm container to the first `1+1`", warm, "local, handed out ready", ready, "3x local",
                warm.median <= 3 * ready.median, headline=True),
            Row("docker: cold start to the first `1+1`", cold, "`docker run` of the same image to `1+1` in an IPython shell", runs, "1.2x `docker run`",
                cold.median <= 1.2 * runs.median, headline=True),
            Row("the same", cold, "`docker run` of the same image to `1+1` in plain Python", plain),
            Row("docker: trivial cell, round trip", cells),
        ]


def output(words):
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


def merge(into, more):
    """Appends the lists of `more` to those of `into`."""
    for key, value in more.items():
        if isinstance(value, list):
            into.setdefault(key, []).extend(value)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


def write(asked, machine, bench):
    about = (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gb']:.0f} GB, Linux {machine['kernel']}, "
        f"Python {machine['python']}; load at the start {machine['load']:.2f}"
    )
    if machine["load"] > QUIET:
        about += f" — **a loaded machine (above {QUIET}): these figures are too high**"
    remarks = [about + ".", *bench.remarks]
    text = table.markdown(bench.rows, remarks)
    (asked.output / "sandbox.md").write_text(text)
    rows = [row.as_json() for row in bench.rows]
    (asked.output / "sandbox.json").write_text(json.dumps({"machine": machine, "rows": rows, "remarks": remarks}, indent=1) + "\n")
    return text


def write_docs(bench, text):
    table.replace_between_marks(REPOSITORY / "docs/performance.md", text)
    headlines = [row for row in bench.rows if row.headline]
    table.replace_between_marks(REPOSITORY / "README.md", table.markdown(headlines, []))


if __name__ == "__main__":
    main()
