// Keeps the page current: the server says that something changed, the page reads
// itself again and swaps the live part. The detail panel, where a person may be
// typing, is left alone. Without an event stream it looks every few seconds.
"use strict";
(function () {
  const stream = document.currentScript.dataset.stream;
  let busy = false, again = false, poll = 0;

  function say(text, cls) {
    const el = document.getElementById("state");
    if (el) { el.textContent = text; el.className = "state " + cls; }
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const res = await fetch(location.href, { cache: "no-store" });
      if (!res.ok) { throw new Error(String(res.status)); }
      const doc = new DOMParser().parseFromString(await res.text(), "text/html");
      const next = doc.getElementById("live"), old = document.getElementById("live");
      if (next && old) { old.replaceWith(document.adoptNode(next)); }
      say("live", "up");
    } catch {
      say("offline", "down");
    } finally {
      busy = false;
      if (again) { again = false; setTimeout(refresh, 500); }
    }
  }

  function listen() {
    if (!window.EventSource) { poll = setInterval(refresh, 4000); return; }
    const es = new EventSource(stream);
    es.addEventListener("open", function () {
      say("live", "up");
      if (poll) { clearInterval(poll); poll = 0; refresh(); }
    });
    es.addEventListener("changed", refresh);
    es.addEventListener("error", function () {
      say("offline", "down");
      if (!poll) { poll = setInterval(refresh, 5000); }
    });
    window.addEventListener("pagehide", function () { es.close(); });
  }

  window.addEventListener("pageshow", function (e) { if (e.persisted) { location.reload(); } });
  listen();
})();
