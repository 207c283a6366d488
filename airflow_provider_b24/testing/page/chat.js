"use strict";
// The dialogs of the portal, kept up to date by its events.

const { address, escape, image, render, strip } = bbcode;
const query = new URLSearchParams(location.search);
const byId = (id) => document.getElementById(id);
const dialogs = new Map(); // id -> dialog
const lit = new Map(); // "dialog|author" -> {name, action, timer}
let users = {};
let current = query.get("dialog") || query.get("IM_DIALOG") || "";
let sought = Number(query.get("IM_MESSAGE")) || 0; // the message that the address leads to

const initials = (name) => name.split(/\s+/).map((word) => word[0] || "").slice(0, 2).join("").toUpperCase();
const avatar = (name, color, group) =>
  `<span class="avatar${group ? " group" : ""}" style="background:${color}">${escape(initials(name))}</span>`;
const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const list = (value) => (Array.isArray(value) ? value : value && typeof value === "object" ? Object.values(value) : []);

// ---- who is writing

const writers = (dialog) => [...lit].filter(([key]) => key.split("|")[0] === dialog).map(([, one]) => one);

function words(people) {
  if (people.length === 1) return `${people[0].name} ${people[0].action || "is typing"}…`;
  return `${people.map((one) => one.name).join(" and ")} are typing…`;
}

function light(dialog, typing) {
  const key = `${dialog}|${typing.author}`;
  clearTimeout(lit.get(key)?.timer);
  const timer = setTimeout(() => putOut(dialog, typing.author), typing.seconds * 1000);
  lit.set(key, { name: typing.name, action: typing.action, timer });
  showTyping();
  showDialogs();
}

function putOut(dialog, author) {
  const key = `${dialog}|${author}`;
  if (!lit.has(key)) return;
  clearTimeout(lit.get(key).timer);
  lit.delete(key);
  showTyping();
  showDialogs();
}

function showTyping() {
  const people = writers(current);
  const line = byId("typing");
  line.hidden = people.length === 0;
  const text = people.length ? words(people) : "";
  if (line.textContent === text) return;
  line.innerHTML = people.length
    ? `<span class="dots" aria-hidden="true"><i></i><i></i><i></i></span><span>${escape(text)}</span>`
    : "";
}

// ---- dialogs

function preview(dialog) {
  const people = writers(dialog.id);
  if (people.length) return `<div class="last lit">${escape(words(people))}</div>`;
  const last = dialog.last;
  if (!last) return `<div class="last">No messages yet</div>`;
  const author = users[last.author] ? `${users[last.author].name.split(" ")[0]}: ` : "";
  const text = strip(last.text) || (last.files.length ? last.files[0].name : "attachment");
  return `<div class="last">${escape(author + text)}</div>`;
}

function showDialogs() {
  const sorted = [...dialogs.values()].sort((one, other) => (other.last?.date || 0) - (one.last?.date || 0));
  byId("dialogs").innerHTML = sorted
    .map(
      (dialog) => `<a href="/?dialog=${encodeURIComponent(dialog.id)}" data-dialog="${escape(dialog.id)}"
        class="${dialog.id === current ? "open" : ""}">${avatar(dialog.title, dialog.color, !dialog.private)}
        <div class="what"><div class="top"><b>${escape(dialog.title)}</b>
        <time>${dialog.last ? clock(dialog.last.date) : ""}</time></div>${preview(dialog)}</div></a>`,
    )
    .join("");
}

function showHead() {
  const dialog = dialogs.get(current);
  if (!dialog) {
    byId("head").innerHTML = "<b>Choose a dialog</b>";
    return;
  }
  const people = dialog.members.length === 1 ? "1 member" : `${dialog.members.length} members`;
  byId("head").innerHTML = `${avatar(dialog.title, dialog.color, !dialog.private)}
    <div><b>${escape(dialog.title)}</b><small title="${escape(dialog.members.join(", "))}">${people}</small></div>
    <code>${escape(dialog.id)}</code>`;
}

// ---- messages

const TOKENS = { primary: "#2f8fdd", secondary: "#9fb3c4", alert: "#e8574f", base: "#b6c2cd" };
const token = (name) => (Object.hasOwn(TOKENS, name ?? "") ? TOKENS[name] : "");
const hex = (text) => (/^#([0-9a-f]{3}|[0-9a-f]{6})$/i.test(text || "") ? text : "");
const pixels = (name, value) => (parseInt(value, 10) > 0 ? `${name}:${parseInt(value, 10)}px;` : "");
const bytes = (size) =>
  size < 1024 ? `${Number(size)} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`;

function grid(rows) {
  const display = ["BLOCK", "LINE", "ROW", "TABLE"].find((kind) => kind === rows[0]?.DISPLAY) || "BLOCK";
  const columns = display === "ROW" || display === "TABLE";
  const cells = rows.map((row) => {
    const [name, value] = [row.NAME ?? "", row.VALUE ?? ""].map(String);
    const color = hex(row.COLOR) || (row.COLOR_TOKEN === "base" ? "" : token(row.COLOR_TOKEN));
    const alone = columns && (!name || !value) ? " alone" : "";
    const size = pixels("height", row.HEIGHT) + (columns ? "" : pixels("width", row.WIDTH));
    const shown = [
      name && `<div class="name${alone}">${escape(name)}</div>`,
      value && `<div class="value${alone}" style="${color ? `color:${color}` : ""}">${linked(row, render(value))}</div>`,
    ].filter(Boolean).join("");
    return columns ? shown : `<div style="${size}">${shown}</div>`;
  });
  return `<div class="grid ${display}">${cells.join("")}</div>`;
}

function linked(item, inner) {
  const dialog = item.CHAT_ID ? `chat${Number(item.CHAT_ID)}` : Number(item.USER_ID || item.BOT_ID) || "";
  const target = address(item.LINK) || (dialog && `/online/?IM_DIALOG=${dialog}`);
  return target ? `<a href="${escape(target)}" target="_blank" rel="noopener noreferrer">${inner}</a>` : inner;
}

function picture(item, source) {
  const shown = image(source, item.NAME || "");
  return shown.startsWith("<img") ? linked(item, shown) : "";
}

const SHOWN = {
  MESSAGE: (text) => `<div class="text">${render(text)}</div>`,
  DELIMITER: (line) => `<hr style="${pixels("width", line?.SIZE)}${hex(line?.COLOR) && `border-color:${line.COLOR}`}">`,
  GRID: (rows) => grid(items(rows)),
  USER: (people) =>
    items(people).map((one) => `<div class="user">${avatar(String(one.NAME ?? ""), "#8aa2b5")}${linked(one, escape(one.NAME ?? ""))}</div>`).join(""),
  FILE: (files) =>
    items(files).map((one) => `<div class="linked">${linked(one, escape(one.NAME || one.LINK))} <small>${one.SIZE ? bytes(one.SIZE) : ""}</small></div>`).join(""),
  IMAGE: (images) => items(images).map((one) => picture(one, one.PREVIEW || one.LINK) || linked(one, escape(one.NAME || one.LINK))).join("<br>"),
};

const items = (value) => (value && !Array.isArray(value) && (value.LINK || value.NAME || value.VALUE) ? [value] : list(value));

function block(one) {
  const kind = Object.keys(SHOWN).find((name) => name in one);
  if (kind) return SHOWN[kind](one[kind]);
  return items(one.LINK || one.RICH_LINK)
    .map((item) => {
      const desc = item.DESC ? `<div class="desc">${render(item.DESC)}</div>` : "";
      return `<div class="linked">${linked(item, escape(item.NAME || item.LINK || ""))}${desc}${picture(item, item.PREVIEW)}</div>`;
    })
    .join("");
}

function attachment(attach) {
  if (!attach) return "";
  const color = hex(attach.COLOR) || token(attach.COLOR_TOKEN);
  const bar = color ? ` style="--bar:${color}"` : "";
  return `<div class="attach"${bar}>${list(attach.BLOCKS || attach).map(block).join("")}</div>`;
}

function keyboard(keys) {
  const buttons = list(keys?.BUTTONS).filter((button) => button.CONTEXT !== "MOBILE");
  if (!buttons.length) return "";
  const shown = buttons.map((button) => {
    if (button.TYPE === "NEWLINE") return "<br>";
    const tone = ["primary", "secondary", "alert"].includes(button.BG_COLOR_TOKEN) ? button.BG_COLOR_TOKEN : "";
    const kind = `class="${button.DISPLAY === "LINE" ? "LINE" : "BLOCK"} ${tone}"`;
    const text = escape(button.TEXT ?? "");
    if (button.DISABLED === "Y") return `<button type="button" disabled ${kind}>${text}</button>`;
    return address(button.LINK)
      ? `<a ${kind} href="${escape(button.LINK)}" target="_blank" rel="noopener noreferrer">${text}</a>`
      : `<button type="button" ${kind}>${text}</button>`;
  });
  return `<div class="keyboard">${shown.join("")}</div>`;
}

function file(one) {
  const path = new URL(one.urlDownload, location.href).pathname;
  const ending = one.name.includes(".") ? one.name.split(".").pop().slice(0, 4) : "file";
  const preview = one.type === "image" ? `<img class="shown" src="${escape(path)}" alt="${escape(one.name)}">` : "";
  return `<a class="file" href="${escape(path)}" download="${escape(one.name)}">${preview}<span>${escape(ending)}</span>
    <div>${escape(one.name)}<small>${bytes(one.size)}</small></div></a>`;
}

function reply(quoted) {
  if (!quoted) return "";
  const words = quoted.deleted ? "Message deleted" : strip(quoted.text).slice(0, 120) || "attachment";
  return `<div class="reply" data-to="${Number(quoted.id)}"><b>${escape(quoted.author)}</b><br>${escape(words)}</div>`;
}

function reactions(given) {
  const shown = Object.entries(given).filter(([, people]) => people.length);
  const signs = shown.map(
    ([code, people]) => `<span title="${escape(people.join(", "))}">${code === "like" ? "\u2665" : escape(code)} ${people.length}</span>`,
  );
  return signs.length ? `<div class="reactions">${signs.join("")}</div>` : "";
}

function element(message, before) {
  const box = document.createElement("div");
  box.dataset.messageId = message.id;
  box.dataset.authorId = message.author;
  box.dataset.date = message.date;
  if (!message.author) {
    box.className = "system";
    box.innerHTML = `<span class="text">${message.deleted ? "Message deleted" : render(message.text)}</span>`;
    return box;
  }
  const user = users[message.author] || { name: `User ${message.author}`, color: "#8a94a0" };
  const more = before && before.dataset.authorId === String(message.author) && message.date - before.dataset.date < 300;
  box.className = `message${more ? " more" : ""}${message.deleted ? " deleted" : ""}`;
  const badge = user.bot ? "<i>bot</i>" : "";
  const body = message.deleted
    ? '<div class="text">Message deleted</div>'
    : `${reply(message.reply)}<div class="text">${render(message.text)}</div>${attachment(message.params.ATTACH)}
       ${message.files.map(file).join("")}${reactions(message.reactions)}${keyboard(message.params.KEYBOARD)}`;
  box.innerHTML = `${avatar(user.name, user.color)}<div class="bubble"><div class="author" style="color:${user.color}">
    ${escape(user.name)}${badge}</div>${body}<time>${message.edited && !message.deleted ? "edited " : ""}${clock(message.date)}</time></div>`;
  return box;
}

function showMessage(message, isNew) {
  const area = byId("messages");
  const known = area.querySelector(`[data-message-id="${message.id}"]`);
  if (known) {
    const box = element(message, known.previousElementSibling);
    box.classList.toggle("sought", known.classList.contains("sought"));
    known.replaceWith(box);
    return;
  }
  const day = new Date(message.date * 1000).toDateString();
  if (area.dataset.day !== day) {
    area.dataset.day = day;
    const label = day === new Date().toDateString() ? "Today" : day;
    area.insertAdjacentHTML("beforeend", `<div class="day"><span>${label}</span></div>`);
  }
  const box = element(message, area.lastElementChild);
  if (isNew) box.classList.add("new");
  area.append(box);
  area.scrollTop = area.scrollHeight;
}

// ---- the portal

async function load() {
  const state = await (await fetch("/page/state")).json();
  users = state.users;
  dialogs.clear();
  for (const one of lit.values()) clearTimeout(one.timer);
  lit.clear();
  for (const dialog of state.dialogs) {
    dialogs.set(dialog.id, dialog);
    if (dialog.alias === current) current = dialog.id;
    for (const typing of dialog.typing) light(dialog.id, typing);
  }
  if (!current && state.dialogs.length) current = state.dialogs[0].id;
  await showNotifications();
  await open(current);
}

async function open(id) {
  current = id;
  showHead();
  showDialogs();
  showTyping();
  const messages = await (await fetch(`/page/messages?dialog=${encodeURIComponent(id)}`)).json();
  if (current !== id) return;
  const area = byId("messages");
  area.innerHTML = "";
  area.dataset.day = "";
  for (const message of messages) showMessage(message, false);
  if (sought) seek(sought);
  sought = 0;
}

function seek(id) {
  for (const other of document.querySelectorAll(".sought")) other.classList.remove("sought");
  const box = byId("messages").querySelector(`[data-message-id="${Number(id)}"]`);
  box?.classList.add("sought");
  box?.scrollIntoView({ block: "center" });
}

// ---- notifications

async function showNotifications() {
  const found = await (await fetch("/page/notifications")).json();
  byId("bell").hidden = !found.length;
  byId("count").textContent = found.length;
  byId("notifications").innerHTML = found
    .map(
      (one) => `<div class="notification" data-notification-id="${one.id}"><b>${escape(one.author)}</b>
        <small>to ${escape(one.to)}, ${clock(one.date)}</small><div class="text">${render(one.text)}</div>${attachment(one.attach)}</div>`,
    )
    .join("");
}

let chain = Promise.resolve(); // events are shown one after the other, after what was loaded before them
const queue = (step) => {
  chain = chain.then(step).catch((error) => console.error(error));
};

function happened(event) {
  if (event.type === "reset") {
    queue(load);
    return;
  }
  if (event.type === "notifications") {
    queue(showNotifications);
    return;
  }
  queue(() => {
    const dialog = event.dialog;
    dialogs.set(dialog.id, dialog);
    if (event.type === "typing") {
      light(dialog.id, event.typing);
      return;
    }
    putOut(dialog.id, event.message.author);
    if (dialog.id === current) showMessage(event.message, true);
    showDialogs();
  });
}

byId("dialogs").addEventListener("click", (click) => {
  const entry = click.target.closest("[data-dialog]");
  if (!entry || click.ctrlKey || click.metaKey) return;
  click.preventDefault();
  history.replaceState(null, "", entry.getAttribute("href"));
  queue(() => open(entry.dataset.dialog));
});

byId("messages").addEventListener("click", (click) => {
  const quoted = click.target.closest("[data-to]");
  if (quoted) seek(quoted.dataset.to);
});

const events = new EventSource("/page/events");
events.onopen = () => {
  byId("live").classList.add("on");
  queue(load);
};
events.onerror = () => byId("live").classList.remove("on");
events.onmessage = (message) => happened(JSON.parse(message.data));
