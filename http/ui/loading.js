// Parts of the page that are brought once they are wanted, and why they did not come.

import { textOfFile } from "./api.js";

/** The files of this version of the page are gone, as the server has another by now. */
export class Outdated extends Error {}

// What a file of ours brings in: other modules, a worker, and what that works with.
const OTHERS = /"((?:\.\.?|vendor)\/[^"]+\.js)"/g;

/**
 * The module of that name. An import over a connection that fell silent is never answered, and can be neither given up
 * nor repeated; so all its files are fetched before, which the browser keeps, and the import asks nobody.
 */
export async function brought(name) {
  const url = new URL(name, import.meta.url).href;
  try {
    await keep(url).catch((error) => (error.status === 0 ? keep(url) : Promise.reject(error))); // it was away for a moment alone
  } catch (error) {
    throw error.status === 404 ? new Outdated("The server has been updated. Reload this page.") : error;
  }
  return import(url);
}

async function keep(url) {
  const files = new Set([url]);
  for (const file of files) for (const [, other] of (await textOfFile(file)).matchAll(OTHERS)) files.add(new URL(other, file).href);
}
