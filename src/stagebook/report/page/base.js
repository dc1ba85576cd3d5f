"use strict";
/* What all pages share: elements made of plain values, and the switch of the theme. */

const $ = (id) => document.getElementById(id);

/* Text is only ever put in as text. */
function el(tag, name, ...content) {
  const found = document.createElement(tag);
  if (name) found.className = name;
  found.append(...content);
  return found;
}

function svg(tag, attributes) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  return found;
}

$("theme").addEventListener("click", () => {
  const root = document.documentElement, next = {auto: "dark", dark: "light", light: "auto"}[root.dataset.theme || "auto"];
  if (next === "auto") delete root.dataset.theme;
  else root.dataset.theme = next;
  $("theme-name").textContent = next;
});
