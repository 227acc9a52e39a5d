// Parts of the page that are brought once they are wanted, and why they did not come.

import { Refused } from "./api.js";
import { live } from "./live.js";

/** The files of this version of the page are gone, as the server has another by now. */
export class Outdated extends Error {}

/** What `bring` imports; a browser does not tell why that failed, so the server is asked. */
export async function brought(bring) {
  try {
    return await bring();
  } catch {
    const answer = await fetch(import.meta.url, { method: "HEAD", cache: "no-store" }).catch(() => null);
    if (answer?.status === 404) throw new Outdated("The server has been updated. Reload this page.");
    if (answer?.ok) return bring(); // it was away for a moment alone
    live.suspect();
    throw new Refused(0, "The server cannot be reached.");
  }
}
