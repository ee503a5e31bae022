// Keeps counts and state lines of an open page up to date, says new alarms aloud, and helps
// with the settings form. Every page works without it.
//
// Refreshed are elements marked data-live with an id: [data-live=""] every 15 s while somebody
// works here, each minute on a page left open; [data-live="soon"] every 2 s, for what came of
// an action, until the page marks it so no more. Nothing that somebody reads or uses is
// replaced: no table, no list of rows, nothing that has the focus.
"use strict";

(() => {
  const untilMs = 500, soonMs = 2000, quickMs = 15000, slowMs = 60000, quickTimes = 20, soonTimes = 60;
  const outcomes = ["queued", "id", "connected", "saved"]; // said once; the same as in back.go
  const lasting = "table, form, [data-row], input, select, textarea";
  const live = () => [...document.querySelectorAll("[data-live][id]")];
  const say = document.getElementById("live"), stale = document.getElementById("stale");

  function alarms(page) {
    return new Map([...page.querySelectorAll("[data-alarm]")].map((a) => [a.dataset.alarm, (a.querySelector("strong") ?? a).textContent.trim()]));
  }

  function take(fresh) {
    // A page that counts is loaded anew once it is done, and then is another.
    if (document.querySelector("[data-until]") && !fresh.querySelector("[data-until]")) { location.reload(); return; }
    const before = alarms(document);
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      if (!next || part.contains(document.activeElement)) continue;
      if (part.querySelector(lasting) || next.querySelector(lasting)) continue;
      part.dataset.live = next.dataset.live ?? "";
      if (next.innerHTML === part.innerHTML) continue;
      const open = [...part.querySelectorAll("details")].map((d) => d.open);
      part.replaceChildren(...next.childNodes);
      part.querySelectorAll("details").forEach((d, i) => { if (i < open.length) d.open = open[i]; });
    }
    const news = [...alarms(document)].filter(([name]) => !before.has(name)).map(([, text]) => text);
    if (news.length > 0) say.textContent = news.join(" ");
  }

  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { redirect: "manual", credentials: "same-origin", cache: "no-store" });
      if (!answer.ok) throw new Error("status " + answer.status);
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (stale) stale.hidden = true;
    } catch {
      if (stale) stale.hidden = false;
    }
  }

  // What was said once should not come back with a reload, nor with a refresh.
  const address = new URL(location.href);
  outcomes.forEach((name) => address.searchParams.delete(name));
  if (address.href !== location.href) history.replaceState(null, "", address.href);

  if (live().length > 0) {
    let times = 0, soon = 0;
    const pace = () => {
      if (document.querySelector("[data-until]")) return untilMs;
      if (soon < soonTimes && document.querySelector('[data-live="soon"]')) { soon++; return soonMs; }
      return times < quickTimes ? quickMs : slowMs;
    };
    const again = () => setTimeout(async () => { times++; await refresh(); again(); }, pace());
    again();
    document.addEventListener("pointerdown", () => { times = 0; });
    document.addEventListener("visibilitychange", () => { times = 0; refresh(); });
  }

  // After a refused form the summary of its faults is what to read first.
  document.querySelector('[role="alert"][tabindex="-1"]')?.focus();

  // What is folded away has no inner text.
  const copied = (from) => from.innerText || from.textContent;

  // Buttons that copy: shown only where copying works.
  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(copied(document.getElementById(button.dataset.copy)));
      say.textContent = button.dataset.copied ?? "";
    });
  }

  const zones = document.getElementById("zones");
  if (zones && Intl.supportedValuesOf) {
    for (const zone of Intl.supportedValuesOf("timeZone")) {
      const option = document.createElement("option");
      option.value = zone;
      zones.append(option);
    }
  }
  // Buttons that insert a field where the cursor stood in a text: of no use without a script.
  for (const button of document.querySelectorAll("button[data-insert]")) {
    const into = document.getElementById(button.dataset.into);
    button.closest("[hidden]")?.removeAttribute("hidden");
    button.addEventListener("click", () => {
      into.setRangeText(button.dataset.insert, into.selectionStart, into.selectionEnd, "end");
      into.focus();
    });
  }
  for (const select of document.querySelectorAll(".colors select")) {
    select.addEventListener("change", () => {
      select.closest("label").querySelector(".swatch").className = "swatch c" + (select.value || "0");
    });
  }
})();
