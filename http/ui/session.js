// Whose key the page works with. The key itself is in a cookie that no script can read.

import { get, post, remove } from "./api.js";

export const session = { name: null, permissions: [] };
export const mayManage = () => session.permissions.includes("manage");

export async function load() {
  Object.assign(session, await get("api/session"));
}

/** Whether that is another's session, or allows something else: all tabs share one cookie. */
export const isOther = (seen) => seen.name !== session.name || String(seen.permissions) !== String(session.permissions);

export async function signIn(key) {
  Object.assign(session, await post("api/session", { key }, { changes: false })); // whoever signs in tries again
}

export async function signOut() {
  await remove("api/session");
  Object.assign(session, { name: null, permissions: [] });
}
