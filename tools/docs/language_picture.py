"""Forms of a language model as SVG: KL to the source against bits on disk. bench/language.py draws it of what it measured."""

import math

from picture import COLOURS, WIDTH, Drawing, Failed, Scale

BACKGROUNDS = tuple(COLOURS)
HEIGHT, TOP, BOTTOM, LEFT, RIGHT = 500, 62, 450, 58, 14
LETTER, LINE = 6.0, 12  # of a label, about
MOST = 2.0  # nats; a form that loses more knows no language, and would press the others together
FAMILIES = {"dnateq": ("circle", "weights"), "llama.cpp": ("diamond", "activations"), "NNCF": ("square", "third")}


def family_of(name):
    return next(family for family in FAMILIES if name.startswith(family))


def label_of(name):
    """What tells a form from others of its family."""
    for long, short in ((f"{family_of(name)} ", ""), ("INT4_", ""), (", groups of", ""), (" + scale estimation", ""), (",", ""),
                        ("dnateq", ""), (" bits on average", " on average"), (" bits everywhere", " everywhere")):
        name = name.replace(long, short)
    return name.strip()


def ticks(scale):
    """1, 2, 5, 10, ... within a logarithmic scale."""
    for power in range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1):
        for digit in (1, 2, 5):
            if scale.low <= (value := round(digit * 10.0 ** power, 9)) <= scale.high:
                yield value


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def places(x, y, width):
    """Boxes for a label beside a point, the best first, and the end at which its text is anchored."""
    for dy in (0, -11, 11, -20, 20, -30, 30):
        dx = 9 if abs(dy) < 15 else 2
        yield "start", (x + dx, y + dy - LINE / 2, x + dx + width, y + dy + LINE / 2)
        yield "end", (x - dx - width, y + dy - LINE / 2, x - dx, y + dy + LINE / 2)


def draw_labels(drawing, points):
    """`points`: (x, y, label). Each label where it covers no other and no point."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y, _ in points]
    for x, y, label in points:
        def cost(place):
            box = place[1]
            outside = max(0, LEFT - box[0]) + max(0, box[2] - WIDTH) + max(0, TOP - box[1]) + max(0, box[3] - BOTTOM)
            return sum(overlap(box, other) for other in taken) + 100 * outside
        anchor, box = min(places(x, y, LETTER * len(label)), key=cost)
        taken.append(box)
        drawing.text(box[0] if anchor == "start" else box[2], round(box[3] - 2, 1), label, text_anchor=anchor, font_size=11)


def picture(rows, background):
    """The SVG's bytes on a background, `light` or `dark`; `rows` as bench/language.py keeps them, by name, fewest bits first."""
    if not rows:
        raise Failed("no form of a language model was measured, so there is nothing to draw")
    drawing = Drawing(HEIGHT, COLOURS[background], "KL against bits on disk",
                      f"{len(rows)} forms of one language model: how far the next token's distribution is from the source's, against the "
                      "bits a weight on disk. Lower and further left is better.")
    points = {name: (row["bits"], row["reference"]["kl"]["value"]) for name, row in rows.items()}
    lost = [f"{name} ({loss:.1f})" for name, (_, loss) in points.items() if loss > MOST]
    points = {name: point for name, point in points.items() if point[1] <= MOST}
    bits, losses = zip(*points.values())
    x = Scale(math.floor(min(bits) * 2) / 2, math.ceil(max(bits) * 2) / 2, LEFT, WIDTH - RIGHT)
    y = Scale(min(losses) / 1.3, max(losses) * 1.3, BOTTOM, TOP, log=True)
    drawing.text(0, 14, "KL against bits on disk", "text", font_size=15, font_weight=600)
    at = 4
    for family, (mark, colour) in FAMILIES.items():
        if any(family_of(name) == family for name in points):
            getattr(drawing, mark)(at, 35, colour)
            drawing.text(at + 10, 39, family)
            at += 40 + LETTER * len(family)
    if lost:
        drawing.text(WIDTH - RIGHT, 39, f"above the picture: {', '.join(lost)}", text_anchor="end")
    for value in ticks(y):
        drawing.line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid")
        drawing.text(LEFT - 8, y(value) + 4, f"{value:g}", text_anchor="end")
    for half in range(round(2 * x.low), round(2 * x.high) + 1):
        drawing.text(x(half / 2), BOTTOM + 18, f"{half / 2:g}", text_anchor="middle")
    drawing.text(WIDTH - RIGHT, BOTTOM + 36, "bits a weight on disk", text_anchor="end")
    drawing.text(LEFT, BOTTOM + 36, "mean KL to the source, nats; lower and further left is better")
    ours = [(x(b), y(loss)) for name, (b, loss) in points.items() if family_of(name) == "dnateq" and "average" in name]
    path = "".join(f"{'L' if i else 'M'}{px} {py}" for i, (px, py) in enumerate(ours))
    if path:
        drawing.add("path", d=path, fill="none", stroke=drawing.colours["weights"], stroke_width=2)
    placed = []
    for name, (b, loss) in points.items():
        mark, colour = FAMILIES[family_of(name)]
        getattr(drawing, mark)(x(b), y(loss), colour)
        placed.append((x(b), y(loss), label_of(name)))
    draw_labels(drawing, placed)
    return drawing.bytes()
