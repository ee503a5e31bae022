// Refreshes the parts of the status page marked data-live, filters the list of
// employees and offers the browser's time zones. The pages work without it.
"use strict";

(() => {
  // Quick while somebody works here; slower on a page left open, since each
  // refresh reads every employee's record.
  const quickMs = 15000, slowMs = 60000, quickTimes = 20;
  const live = () => document.querySelectorAll("[data-live][id]");
  const filterBox = document.querySelector("input[data-filter]");

  function applyFilter() {
    if (!filterBox) return;
    const wanted = filterBox.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(filterBox.dataset.filter + " [data-row]")) {
      row.hidden = wanted !== "" && !row.textContent.toLowerCase().includes(wanted);
    }
  }

  if (filterBox) {
    filterBox.closest("label").hidden = false;
    filterBox.addEventListener("input", applyFilter);
  }

  function take(fresh) {
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      // What somebody is using with the keyboard is left until they move on.
      if (!next || part.contains(document.activeElement)) continue;
      if (next.innerHTML === part.innerHTML) continue;
      const open = [...part.querySelectorAll("details")].map((d) => d.open);
      part.replaceChildren(...next.childNodes);
      part.querySelectorAll("details").forEach((d, i) => { if (i < open.length) d.open = open[i]; });
    }
    applyFilter();
  }

  async function refresh() {
    if (document.hidden) return;
    const stale = document.getElementById("stale");
    try {
      const page = location.pathname; // without the query, which holds a message shown once
      const answer = await fetch(page, { redirect: "manual", credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error("status " + answer.status);
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }

  if (document.getElementById("stale")) {
    let times = 0;
    const again = () => setTimeout(async () => { times++; await refresh(); again(); }, times < quickTimes ? quickMs : slowMs);
    again();
    document.addEventListener("pointerdown", () => { times = 0; });
    document.addEventListener("visibilitychange", () => { times = 0; refresh(); });
    // A message shown once should not come back with a reload.
    if (location.search) history.replaceState(null, "", location.pathname);
  }

  const zones = document.getElementById("zones");
  if (zones && Intl.supportedValuesOf) {
    for (const zone of Intl.supportedValuesOf("timeZone")) {
      const option = document.createElement("option");
      option.value = zone;
      zones.append(option);
    }
  }
  for (const select of document.querySelectorAll(".colors select")) {
    select.addEventListener("change", () => {
      select.closest("label").querySelector(".swatch").className = "swatch c" + (select.value || "0");
    });
  }
})();
