"use strict";
// Sorts and filters the table of classes, and draws the curves of the class that is opened.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.querySelector("table.sortable");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = () => [...body.rows].filter((row) => !row.classList.contains("detail"));
  const detailOf = (row) => {
    const next = row.nextElementSibling;
    return next && next.classList.contains("detail") ? next : null;
  };

  // Figures sort as figures; what is undefined comes last whichever way.
  const sortBy = (column, falling) => {
    const key = (row) => row.cells[column].dataset.v;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
      const [m, n] = [Number(x), Number(y)];
      const order = Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y) : m - n;
      return falling ? -order : order;
    };
    const whole = rows().sort(compare).flatMap((row) => [row, detailOf(row)].filter(Boolean));
    body.append(...whole);
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      // Names rise first, figures fall first.
      const falling = now === "none" ? head.classList.contains("num") || head.classList.contains("bars")
        : now === "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortBy(column, falling);
    });
  });

  const form = document.querySelector(".filters");
  const field = (name) => form.querySelector(name);
  const filter = () => {
    const words = field(".search").value.trim().toLocaleLowerCase();
    const branch = field(".branch") ? field(".branch").value : "";
    const least = Number(field(".least").value) || 0;
    const clearOnly = field(".only") ? field(".only").checked : false;
    let shown = 0;
    rows().forEach((row) => {
      const { name, branch: branches, positives, clear } = row.dataset;
      const fits = name.includes(words) && Number(positives) >= least
        && (!branch || branches.split("\n").includes(branch)) && (!clearOnly || clear === "1");
      row.hidden = !fits;
      if (detailOf(row)) detailOf(row).hidden = !fits;
      shown += fits ? 1 : 0;
    });
    form.querySelector("output").textContent = `${shown} of ${rows().length} classes`;
    const none = document.querySelector("main .scroll + .empty");
    if (none) none.hidden = shown > 0;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  const draw = (svg, pairs, name) => {
    const [left, top, width, height] = svg.dataset.box.split(" ").map(Number);
    const points = [];
    for (let i = 0; i < pairs.length; i += 2) {
      points.push(`${(left + width * pairs[i] / 1000).toFixed(1)},${(top + height * (1 - pairs[i + 1] / 1000)).toFixed(1)}`);
    }
    svg.querySelector("polyline").setAttribute("points", points.join(" "));
    svg.setAttribute("aria-label", name);
  };
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (!button) return;
    const row = button.closest("tr");
    const open = detailOf(row);
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      open.remove();
      return;
    }
    const detail = document.createElement("tr");
    detail.className = "detail";
    detail.append(document.getElementById("detail").content.cloneNode(true));
    detail.querySelector("p").textContent = row.dataset.note;
    const curves = data.curves[Number(row.dataset.class)];
    if (curves) {
      draw(detail.querySelector("svg.pr"), curves.pr, `Precision and recall of ${button.textContent}`);
      draw(detail.querySelector("svg.roc"), curves.roc, `ROC of ${button.textContent}`);
    } else {
      detail.querySelector(".pair").remove();
    }
    row.after(detail);
  });
})();
