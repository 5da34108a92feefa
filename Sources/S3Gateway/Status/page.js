"use strict";
// What was told is shown as text, never as HTML: a server may have said anything.
const periodMilliseconds = 2000;
const patienceMilliseconds = 20000;
const at = (id) => document.getElementById(id);
const marks = { well: "✓", strained: "!", failing: "✕", unknown: "?" };
const states = {
  works: ["works", "well"], full: ["full", "strained"], failed: ["disk failed", "failing"],
  rebuilding: ["rebuilding", "strained"], rolled_back: ["rolled back", "failing"],
  unreachable: ["does not answer", "failing"],
};
let told = null;
let toldAt = 0;

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function count(number) { return Number(number).toLocaleString("en-US", { maximumFractionDigits: 1 }); }

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let place = 0;
  while (number >= 1024 && place < units.length - 1) { number /= 1024; place += 1; }
  return `${number.toLocaleString("en-US", { maximumSignificantDigits: number < 100 ? 2 : 4 })} ${units[place]}`;
}

function time(seconds) {
  for (const [size, unit, below, lesser] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    const [whole, rest] = [Math.floor(seconds / size), Math.floor((seconds % size) / below)];
    if (whole > 0) return `${whole} ${unit} ${rest} ${lesser}`;
  }
  return `${Math.floor(seconds)} s`;
}

function bar(share, level) {
  const filled = make("i", {});
  filled.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  return make("div", { class: `bar ${level}` }, filled);
}

function chart(values) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${values.length - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const most = Math.max(...values, 1);
  const line = values.map((value, place) => `${place} ${19 - (value / most) * 18}`).join(" L ");
  for (const [path, name] of [[`M 0 20 L ${line} L ${values.length - 1} 20 Z`, "area"], [`M ${line}`, "line"]]) {
    const node = document.createElementNS(space, "path");
    node.setAttribute("d", path);
    node.setAttribute("class", name);
    svg.append(node);
  }
  return svg;
}

function tile(name, value, note, ...more) {
  return make("div", { class: "tile" }, make("h3", {}, name), make("p", { class: "value" }, value),
    note === null ? null : make("p", { class: "note" }, note), ...more);
}

function sum(values) { return values.reduce((total, value) => total + value, 0); }

function showGateway(gateway) {
  const { last_minute: minute, per_second: rate, memory } = gateway;
  const used = memory.size_bytes - memory.free_bytes;
  const waiting = memory.waiting_transfers;
  at("tiles").replaceChildren(
    tile("Requests", `${count(rate.requests)}/s`, null, chart(minute.requests)),
    tile("Received", `${bytes(rate.received_bytes)}/s`, null, chart(minute.received_bytes)),
    tile("Sent", `${bytes(rate.sent_bytes)}/s`, null, chart(minute.sent_bytes)),
    tile("Failed in a minute", count(sum(minute.failed)), `and ${count(sum(minute.refused))} refused`),
    tile("Running requests", count(gateway.running_requests), `on ${count(gateway.connections)} connections`),
    tile("Memory of transfers", bytes(used), waiting > 0
      ? `of ${bytes(memory.size_bytes)}; ${count(waiting)} wait for some` : `of ${bytes(memory.size_bytes)}`,
      bar(used / memory.size_bytes, waiting > 0 ? "strained" : "")));
}

function table(id, columns, rows) {
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, place) =>
    make("td", { "data-name": columns[place] }, make("div", {}, ...[cell].flat())))));
  at(id).replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
}

function pill([name, level]) { return make("span", { class: `pill ${level}` }, name); }

function lacks(status) {
  if (status.servers_to_meet > 0) return status.wants > 0 ? `${count(status.wants)} objects or more` : "not known yet";
  return status.wants > 0 ? `${count(status.wants)} objects` : "nothing";
}

function isWhole(server) {
  return server.state === "works" && server.status.wants === 0 && server.status.servers_to_meet === 0;
}

function level(server) {
  return server.state === "works" ? (isWhole(server) ? "well" : "strained") : states[server.state][1];
}

function showServers(servers) {
  const zoned = servers.some((server) => server.zone);
  const columns = ["Server", "State", "Address", ...(zoned ? ["Zone"] : []), "Lacks", "Disk", "Release", "Runs for"];
  table("servers", columns, servers.map((server) => {
    const { status } = server;
    const notes = [...(server.problem ? [server.problem] : []), ...server.remarks];
    const state = [pill([states[server.state][0], level(server)]),
      ...notes.map((text) => make("p", { class: "note" }, text))];
    const place = [String(server.number), state, server.address, ...(zoned ? [server.zone ?? ""] : [])];
    if (!status) return [...place, "—", "—", "—", "—"];
    const { used_bytes: used, free_bytes: free, reserved_bytes: reserved } = status;
    const disk = [`${bytes(used)} used, ${bytes(free)} free`,
      bar(used / Math.max(1, used + free), free <= 2 * reserved ? "strained" : "")];
    return [...place, lacks(status), disk, status.version, time(status.uptime_seconds)];
  }));
}

function showGroups(groups, servers) {
  const byNumber = new Map(servers.map((server) => [server.number, server]));
  table("groups", ["Group", "Servers", "Answer", "Needed", "Can lose"], groups.map((group) => {
    const chips = group.servers.map((number) => {
      const server = byNumber.get(number);
      return make("span", { class: `chip ${level(server)}`, title: `server ${number}: ${states[server.state][0]}` },
        String(number));
    });
    const lowest = group.reachable < group.needed ? "failing" : group.spare === 0 ? "strained" : "well";
    return [String(group.number), make("div", { class: "chips" }, ...chips), `${group.reachable} of ${chips.length}`,
      String(group.needed), pill([group.spare === 0 ? "no more" : `${group.spare} more`, lowest])];
  }));
}

function showVerdict({ level: name, summary, concerns }) {
  at("verdict").className = name;
  at("mark").textContent = marks[name];
  if (at("summary").textContent !== summary) at("summary").textContent = summary;
  at("concerns").replaceChildren(...concerns.map((text) => make("li", {}, text)));
  document.title = `${marks[name]} Solidus`;
}

function showTime() {
  if (told === null) return;
  const age = Math.round((Date.now() - toldAt) / 1000 + told.cluster_age_seconds);
  at("when").textContent = `servers were asked ${age < 1 ? "just now" : `${time(age)} ago`}`;
}

function show(status) {
  const { gateway, cluster } = status;
  showVerdict(status.verdict);
  const { name, release } = gateway;
  at("who").textContent = `gateway ${name}, release ${release}, runs for ${time(gateway.uptime_seconds)}`;
  showGateway(gateway);
  showServers(cluster ? cluster.servers : []);
  showGroups(cluster ? cluster.groups : [], cluster ? cluster.servers : []);
  at("details").hidden = false;
}

async function look() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(patienceMilliseconds) });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    told = await answer.json();
    toldAt = Date.now();
    show(told);
  } catch (error) {
    const since = told === null ? "." : `; what is shown is from ${new Date(toldAt).toLocaleTimeString()}.`;
    const summary = `The gateway does not answer${since}`;
    showVerdict({ level: "unknown", summary, concerns: [String(error.message)] });
  }
  showTime();
}

async function watch() {
  for (;;) {
    // Nobody looks at a page that is hidden.
    if (!document.hidden) await look();
    await new Promise((done) => { setTimeout(done, periodMilliseconds); });
  }
}

setInterval(showTime, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
watch();
