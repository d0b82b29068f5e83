"""Parts of a table, until the page of transfer learning is made by `panns_tf.evaluation.report`."""

from panns_tf.evaluation.html import text


def bar(value: float, low: float = float("nan"), high: float = float("nan")) -> str:
    """A share of 1 as a bar, with a whisker from ``low`` to ``high``."""
    if value != value:  # NaN
        return '<span class="bar none"></span>'
    whisker = ""
    if low == low and high == high:
        whisker = f'<b style="left:{100 * low:.1f}%;width:{100 * max(0, high - low):.1f}%"></b>'
    return f'<span class="bar"><i style="width:{100 * value:.1f}%"></i>{whisker}</span>'


def head(columns: list[tuple[str, str, str]]) -> str:
    """A row of headings that sort: name, CSS class and explanation of each column."""
    return "".join(
        f'<th scope="col" class="{css}" aria-sort="none"><button type="button" '
        f'title="{text(hint)}">{text(name)}</button></th>'
        for name, css, hint in columns
    )


def filters(branches: list[str], count: int, extra: str = "") -> str:
    """The controls above a table of classes."""
    choose = ""
    if branches:
        options = "".join(f"<option>{text(branch)}</option>" for branch in branches)
        choose = (
            '<label>Branch<select class="branch"><option value="">all</option>'
            f"{options}</select></label>"
        )
    return f"""<form class="filters" aria-label="Filter the classes">
<label>Class<input type="search" class="search" placeholder="part of a name" autocomplete="off">
</label>{choose}
<label>Positives<input type="number" class="least" min="0" placeholder="at least"></label>{extra}
<output aria-live="polite">{count} of {count} classes</output>
</form>"""
