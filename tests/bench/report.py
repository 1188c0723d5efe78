"""Tables as aligned text of at most 100 columns, and as Markdown to be pasted into README.md."""
import statistics

WIDTH = 100

def number(value):
    """Three significant digits or so."""
    if value is None:
        return ""
    if value == 0 or value >= 100:
        return f"{value:.0f}"
    return f"{value:.4f}" if value < 0.01 else f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Half of the range in percent of the median."""
    middle = median(values)
    return 50 * (max(values) - min(values)) / middle if middle else 0.0


def text(head, body, notes=()):
    """The first column to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [head, *body]) for i in range(len(head))]
    gap = "  " if sum(widths) + 2 * len(widths) <= WIDTH else " "
    lines = [gap.join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in [head, *body]]
    return lines + [""] * bool(notes) + list(notes)


def markdown(head, body, notes=()):
    lines = ["| " + " | ".join(str(cell).strip() for cell in row) + " |" for row in [head, *body]]
    lines.insert(1, "|---" * len(head) + "|")
    return lines + [""] * bool(notes) + list(notes)
