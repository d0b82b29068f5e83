"use strict";
// Sorts and filters tables.
for (const block of document.querySelectorAll(".block:has(table)")) {
  const table = block.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];

  // Numbers sort as numbers; what is undefined comes last either way.
  const sort = (column, falling) => {
    const compare = (a, b) => {
      const [x, y] = [a.cells[column].dataset.v, b.cells[column].dataset.v];
      if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1);
      const order = Number.isNaN(x - y) ? x.localeCompare(y) : x - y;
      return falling ? -order : order;
    };
    rows.sort(compare);
    body.append(...rows);
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
    const [search, least] = [".search", ".least"].map(field);
    const words = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = [...row.querySelectorAll(".text")].some((cell) => cell.dataset.v.includes(words))
        && (!least || Number(row.cells[least.dataset.column].dataset.v) >= Number(least.value));
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
    block.querySelector(".empty").hidden = shown > 0;
  };
  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
}
