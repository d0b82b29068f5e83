"use strict";
// Sorts and filters tables, and opens their rows to show curves.
for (const block of document.querySelectorAll(".block:has(table)")) {
  const table = block.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const details = new Map(); // of rows that are open

  // Numbers sort as numbers; what is undefined comes last either way.
  const sort = (column, falling) => {
    const compare = (a, b) => {
      const [x, y] = [a.cells[column].dataset.v, b.cells[column].dataset.v];
      if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
      const order = Number.isNaN(x - y) ? x.localeCompare(y) : x - y;
      return falling ? -order : order;
    };
    rows.sort(compare);
    for (const row of rows) body.append(row, ...(details.has(row) ? [details.get(row)] : []));
  };
  const heads = [...table.tHead.rows[0].cells];
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th[aria-sort]");
    if (!head) return;
    const before = head.getAttribute("aria-sort");
    // Names rise first, numbers fall first.
    const falling = before === "none" ? !head.classList.contains("text") : before === "ascending";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    sort(heads.indexOf(head), falling);
  });

  const form = block.querySelector("form");
  const filter = () => {
    const field = (selector) => form.querySelector(selector);
    const [search, least, only] = [".search", ".least", ".only"].map(field);
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = [...row.querySelectorAll(".text")].some((cell) => cell.dataset.v.includes(words))
        && (!least || Number(row.cells[least.dataset.column].dataset.v) >= Number(least.value))
        && (!only || !only.checked || "only" in row.dataset);
      row.hidden = !fits;
      if (details.has(row)) details.get(row).hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
    block.querySelector(".empty").hidden = shown > 0;
  };
  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  const data = block.querySelector("script");
  const texts = data ? JSON.parse(data.textContent) : [];
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (!button) return;
    const row = button.closest("tr");
    const open = details.has(row);
    button.setAttribute("aria-expanded", String(!open));
    if (open) {
      details.get(row).remove();
      details.delete(row);
      return;
    }
    const detail = block.querySelector("template").content.firstElementChild.cloneNode(true);
    const { text, curves } = texts[row.dataset.row];
    detail.querySelector("p").textContent = text;
    detail.querySelectorAll("svg").forEach((svg, number) => {
      if (!curves[number]) return svg.remove();
      const step = 1000 / (curves[number].length - 1);
      const points = curves[number].map((height, i) => `${step * i},${1000 - height}`);
      svg.querySelector("polyline").setAttribute("points", points.join(" "));
    });
    details.set(row, detail);
    row.after(detail);
  });
}
