// The board works without this file. It adds: choosing a filter shows it at
// once, deleting asks first, and cards can be dragged to another day or employee.
"use strict";

const root = document.body.dataset.root;

for (const form of document.querySelectorAll("form[data-auto]")) {
  form.classList.add("auto");
  form.addEventListener("change", () => form.requestSubmit());
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// One open menu at a time; Escape closes it.
document.addEventListener("toggle", (event) => {
  if (!event.target.open || !event.target.matches("details.quick")) return;
  for (const other of document.querySelectorAll("details.quick[open]")) {
    if (other !== event.target) other.open = false;
  }
}, true);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details[open]")) open.open = false;
});

let dragged = null;

document.addEventListener("dragstart", (event) => {
  const card = event.target.closest?.(".card");
  if (!card) return;
  dragged = card;
  card.classList.add("lifted");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", card.dataset.task);
});

document.addEventListener("dragend", () => {
  dragged?.classList.remove("lifted");
  dragged = null;
  for (const spot of document.querySelectorAll(".target")) spot.classList.remove("target");
});

const spots = "[data-date], [data-undate]";

document.addEventListener("dragover", (event) => {
  const spot = event.target.closest?.(spots);
  if (!dragged || !spot) return;
  event.preventDefault();
  if (spot.classList.contains("target")) return;
  for (const other of document.querySelectorAll(".target")) other.classList.remove("target");
  spot.classList.add("target");
});

document.addEventListener("drop", async (event) => {
  const spot = event.target.closest?.(spots);
  if (!dragged || !spot) return;
  event.preventDefault();
  if (spot.contains(dragged)) return;
  const body = new URLSearchParams();
  if (spot.dataset.undate) body.set("undate", "1");
  else body.set("date", spot.dataset.date);
  if (spot.dataset.to !== undefined) {
    body.set("from", dragged.dataset.from);
    body.set("to", spot.dataset.to);
  }
  const answer = await fetch(`${root}tasks/${dragged.dataset.task}/drop`, { method: "POST", body, redirect: "manual" });
  if (answer.type === "opaqueredirect" || answer.ok) window.location.reload();
  else window.alert("The task could not be moved. Reload the page and try again.");
});
