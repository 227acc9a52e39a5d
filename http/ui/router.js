// Which screen is shown: the part of the address after #, which browsers never send to a server.

export function where() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(hash) {
  location.hash = hash;
}

/** Change what the address says of this screen, without a step in the history. */
export function note(hash) {
  history.replaceState(null, "", hash);
}
