"""Figures as rows, rows as a table, and the table's place in the documentation."""

from dataclasses import asdict, dataclass, field


@dataclass
class Samples:
    """Readings of one thing; what stands for them is the median."""

    unit: str
    values: list = field(default_factory=list)

    def quantile(self, share):
        ranked = sorted(self.values)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    @property
    def median(self):
        return self.quantile(0.5)

    def __str__(self):
        text = amount(self.median, self.unit)
        return text if len(self.values) < 5 else f"{text} (p95 {amount(self.quantile(0.95), self.unit)})"


@dataclass
class Row:
    """A figure beside what it is held against."""

    figure: str
    ours: Samples
    baseline_name: str = ""
    baseline: Samples | None = None
    target: str = ""
    reached: bool | None = None
    headline: bool = False

    def ratio(self):
        if self.baseline is None:
            return None
        mine, theirs = self.ours.median, self.baseline.median
        return mine / theirs if self.ours.unit.endswith("/s") else theirs / mine

    def as_json(self):
        summary = {"median": self.ours.median, "p95": self.ours.quantile(0.95), "readings": len(self.ours.values)}
        return {**asdict(self), "ratio": self.ratio(), "summary": summary}

    def as_markdown(self):
        baseline = f"{self.baseline_name}: {self.baseline}" if self.baseline else self.baseline_name
        ratio = self.ratio()
        ratio = "" if ratio is None else f"{ratio:,.0f}x" if ratio >= 10 else f"{ratio:.2g}x"
        reached = {None: "", True: "yes", False: "**no**"}[self.reached]
        return f"| {self.figure} | {baseline} | {self.ours} | {ratio} | {self.target} | {reached} |"


def amount(number, unit):
    digits = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3
    return f"{number:,.{digits}f} {unit}"


def markdown(rows, remarks):
    lines = ["| figure | baseline in the same run | `synth` | better by | to reach | reached |", "|---|---|---|---|---|---|"]
    lines += [row.as_markdown() for row in rows]
    if remarks:
        lines += [""] + [f"- {remark}" for remark in remarks]
    return "\n".join(lines) + "\n"


def replace_between_marks(path, text):
    """Puts the text between the marks `<!-- figures -->` and `<!-- /figures -->` of a page."""
    page = path.read_text()
    head, rest = page.split("<!-- figures -->", 1)
    _, tail = rest.split("<!-- /figures -->", 1)
    path.write_text(f"{head}<!-- figures -->\n{text}<!-- /figures -->{tail}")
