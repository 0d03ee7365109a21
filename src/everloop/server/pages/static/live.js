// Pages stay as the server rendered them; what is marked [data-live] is fetched again every few seconds while it is in view.
"use strict";
const every = 4000;
// MLflow's client prints links with a fragment that only its own pages know: they lead to ours.
const [, run, model, version] = location.hash.match(/^#\/(?:experiments\/\d+(?:\/runs\/(\w+))?|models\/([^/]+)(?:\/versions\/(\d+))?)/) ?? [];
if (run) location.replace(`/runs/${run}`);
else if (model) location.replace(`/models/${model}${version ? `/versions/${version}` : ""}`);
else if (location.hash.startsWith("#/experiments")) location.replace("/runs");
async function refresh() {
  if (document.visibilityState === "visible" && document.querySelector("[data-live]")) {
    try {
      const answer = await fetch(location.href);
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const drawn of document.querySelectorAll("[data-values][data-things]:not([data-held])")) {
          const values = fresh.getElementById(drawn.id)?.dataset.values;
          if (!values || values === drawn.dataset.values) continue;
          drawn.dataset.values = values;
          drawn.dispatchEvent(new Event("renewed"));
        }
        for (const part of document.querySelectorAll("[data-live]")) {
          const next = fresh.getElementById(part.id);
          const busy = part.contains(document.activeElement) || part.matches("[data-held]") || part.querySelector("details[open]");
          if (next && !busy && next.innerHTML !== part.innerHTML) part.replaceWith(next);
        }
      }
    } catch { /* The server is away: what is shown stays, and the next round tries again. */ }
  }
  setTimeout(refresh, every);
}
const project = document.querySelector("form.project");
project?.querySelector("button").remove();
project?.addEventListener("change", () => project.submit());
document.querySelector("nav.areas [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
document.querySelector(".graph .root")?.scrollIntoView({ block: "nearest", inline: "center" });
setTimeout(refresh, every);
