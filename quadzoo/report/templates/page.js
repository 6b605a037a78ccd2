"use strict";
for (const board of document.querySelectorAll(".board")) {
  const table = board.querySelector(".rows");
  const rows = [...table.tBodies];
  const heads = [...table.tHead.rows[0].cells];
  const filter = board.querySelector(".filter");
  const plugin = board.querySelector(".plugin");
  for (const controls of board.querySelectorAll(".controls")) controls.hidden = false;

  const compare = (left, right) => {
    if (left === "" || right === "") return (left === "") - (right === "");
    return isNaN(left) || isNaN(right) ? left.localeCompare(right) : left - right;
  };
  heads.forEach((head, index) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = new Map(rows.map(row => [row, row.rows[0].cells[index].dataset.value]));
    // What has no value stays last either way.
    const sorted = [...rows].sort((one, other) => {
      const [left, right] = [value.get(one), value.get(other)];
      return compare(left, right) * (up || left === "" || right === "" ? 1 : -1);
    });
    table.append(...sorted);
  }));

  const text = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));
  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const from = row.dataset.plugins?.split(", ");
      row.hidden = !text.get(row).includes(wanted) || (plugin?.value && !from.includes(plugin.value));
      shown += !row.hidden;
    }
    board.querySelector(".count").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
  };
  filter?.addEventListener("input", show);
  plugin?.addEventListener("change", show);

  table.addEventListener("click", event => {
    const button = event.target.closest("button.more");
    if (!button) return;
    const opened = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", opened);
    button.closest("tbody").rows[1].hidden = !opened;
  });

  // As a terminal does, a table leaves out the columns of the least importance, and names them.
  const all = board.querySelector(".all");
  if (all) {
    const sheet = new CSSStyleSheet();
    document.adoptedStyleSheets.push(sheet);
    const phone = matchMedia("(max-width: 640px)");
    const fit = () => {
      sheet.replaceSync("");
      const order = heads.map((head, index) => ({head, index, priority: +head.dataset.priority, wide: head.offsetWidth}))
        .filter(one => one.priority).sort((one, other) => other.priority - one.priority || other.index - one.index);
      let beyond = table.offsetWidth - table.parentElement.clientWidth;
      const cut = all.checked ? [] : order.filter(one => {
        if (phone.matches ? one.priority < 3 : beyond <= 0) return false;
        beyond -= one.wide;
        return true;
      });
      const rows = `#${board.id} .rows > * > tr:first-child > `;
      sheet.replaceSync(cut.map(one => `${rows}:nth-child(${one.index + 1}) { display: none }`).join(" "));
      const names = cut.sort((one, other) => one.index - other.index).map(one => one.head.textContent);
      board.querySelector(".cut").textContent = names.length ? `Not shown at this width: ${names.join(", ")}.` : "";
    };
    let before = 0;
    const resize = () => {
      if (before !== innerWidth) fit();
      before = innerWidth;
    };
    all.addEventListener("change", fit);
    addEventListener("resize", resize);
    resize();
  }

  const axis = board.querySelector(".cost-axis");
  if (axis) {
    const choose = () => {
      for (const plot of board.querySelectorAll(".cost")) plot.hidden = plot.dataset.plot !== axis.value;
    };
    axis.addEventListener("change", choose);
    choose();
  }
}
