// The list of runs: what is chosen can be compared or deleted, what belongs together can be folded.
"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.fold) fold(button);
  if ("delete" in button.dataset) await remove();
  if ("restore" in button.dataset) await restore();
  if ("export" in button.dataset) await take(button.dataset);
});
document.addEventListener("change", arm);
arm();

function chosen() {
  return [...document.querySelectorAll("#runs input[name=run]:checked")].map((box) => box.value);
}

function arm() {
  const count = chosen().length;
  for (const button of document.querySelectorAll("#runs [data-needs]")) button.disabled = count < Number(button.dataset.needs);
  document.getElementById("runs")?.toggleAttribute("data-held", count > 0 || document.querySelector("[aria-expanded=false]") !== null);
}

function fold(button) {
  const open = button.getAttribute("aria-expanded") === "false";
  button.setAttribute("aria-expanded", String(open));
  for (const row of document.querySelectorAll(`tr[data-part="${button.dataset.fold}"]`)) {
    row.hidden = !open;
    const inner = row.querySelector("[data-fold]");
    if (inner && (inner.getAttribute("aria-expanded") === "true") !== open) fold(inner);
  }
  arm();
}

async function remove() {
  const ids = chosen();
  if (!confirm(`Delete ${ids.length} run${ids.length === 1 ? "" : "s"}? They can be restored.`)) return;
  for (const id of ids) if (!(await send("DELETE", `/api/v1/runs/${id}`))) return;
  location.reload();
}

async function restore() {
  for (const id of chosen()) if (!(await send("POST", `/api/v1/runs/${id}/restore`))) return;
  location.reload();
}

async function take({ experiment, where, order }) {
  const made = await send("POST", "/api/v1/runs/exports", { format: "csv", experiment, where, order });
  if (!made) return;
  const link = document.createElement("a");
  link.href = `/api/v1/objects/${made.digest}`;
  link.download = "runs.csv";
  link.click();
  if (made.rows < made.total) say(`The file has the first ${made.rows.toLocaleString("en")} of ${made.total.toLocaleString("en")} runs.`);
}
